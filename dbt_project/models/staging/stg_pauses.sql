-- One row per pause of a sequence, a campaign or everything.
with source as (
    select * from {{ source('ledger', 'pauses') }}
),

renamed as (
    select
        scope,
        name,
        paused_at,
        resumed_at
    from source
)

select * from renamed
