-- One row per lead: how it stands, as the ledger says it to everybody.
with source as (
    select * from {{ source('ledger', 'lead_status') }}
),

renamed as (
    select
        lead_id,
        status
    from source
)

select * from renamed
