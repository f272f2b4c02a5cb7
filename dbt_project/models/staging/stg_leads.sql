-- One row per lead.
with source as (
    select * from {{ source('ledger', 'leads') }}
),

renamed as (
    select
        lead_id,
        created_at,
        source,
        country,
        timezone,
        origin,
        attributes
    from source
)

select * from renamed
