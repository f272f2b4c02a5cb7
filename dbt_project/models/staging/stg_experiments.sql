-- One row per experiment.
with source as (
    select * from {{ source('ledger', 'experiments') }}
),

renamed as (
    select
        experiment_id,
        sequence_id,
        step_id,
        varies,
        metric,
        window_seconds,
        mode,
        planned_leads,
        alpha,
        is_auto,
        registered_at,
        origin,
        unit,
        allocation,
        definition,
        guardrails,
        expected_loss,
        margin
    from source
)

select * from renamed
