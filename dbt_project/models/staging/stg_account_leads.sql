-- One row per lead in a test by account.
with source as (
    select * from {{ source('ledger', 'account_leads') }}
),

renamed as (
    select
        experiment_id,
        unit_id,
        lead_id,
        enrollment_id,
        joined_at
    from source
)

select * from renamed
