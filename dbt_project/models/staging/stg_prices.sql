-- One row per sender and price.
with source as (
    select * from {{ source('ledger', 'prices') }}
),

renamed as (
    select
        sender,
        cost,
        currency,
        since,
        lead(since) over (partition by sender order by since) as until
    from source
)

select * from renamed
