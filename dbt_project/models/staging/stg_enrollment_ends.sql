-- One row per ended enrollment.
with source as (
    select * from {{ source('ledger', 'enrollment_ends') }}
),

renamed as (
    select
        enrollment_id,
        ended_at,
        status,
        reason
    from source
)

select * from renamed
