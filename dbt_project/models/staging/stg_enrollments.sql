-- One row per enrollment, held-out ones included.
with source as (
    select * from {{ source('ledger', 'enrollments') }}
),

renamed as (
    select
        enrollment_id,
        lead_id,
        sequence_id,
        version_id,
        entry_no,
        enrolled_at,
        enrolled_by,
        is_holdout,
        origin
    from source
)

select * from renamed
