-- One row per currency and rate.
with source as (
    select * from {{ source('meta', 'rates') }}
),

renamed as (
    select
        currency,
        rate,
        since,
        lead(since) over (partition by currency order by since) as until
    from source
)

select * from renamed
