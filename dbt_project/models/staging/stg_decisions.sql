-- One row per decision about a planned step, with what became of it.
with source as (
    select * from {{ source('ledger', 'why_outcomes') }}
),

renamed as (
    select
        planned_at,
        enrollment_id,
        version_id,
        step_ix,
        outcome,
        reason,
        until_at,
        send_id,
        settled_at
    from source
)

select * from renamed
