-- One row per drawn unit, as drawn.
with source as (
    select * from {{ source('ledger', 'assignments') }}
),

renamed as (
    select
        experiment_id,
        unit_id,
        arm,
        probability,
        assigned_at,
        enrollment_id,
        reason
    from source
)

select * from renamed
