-- One row per suppression of a lead.
with source as (
    select * from {{ source('ledger', 'suppressions') }}
),

renamed as (
    select
        lead_id,
        channel,
        sequence_id,
        reason,
        created_at,
        lifted_at
    from source
)

select * from renamed
