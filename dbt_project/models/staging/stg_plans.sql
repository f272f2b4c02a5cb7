-- One row per decision about a planned step, as it was made.
with source as (
    select * from {{ source('ledger', 'why') }}
),

renamed as (
    select
        planned_at,
        enrollment_id,
        version_id,
        step_ix,
        outcome,
        send_id
    from source
)

select * from renamed
