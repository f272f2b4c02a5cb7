-- One row per experiment and unit that was drawn for the analysis.
with assignments as (
    select * from {{ ref('stg_assignments') }}
    -- After a decision everybody gets the winner: no part of the test (R14).
    where reason <> 'winner'
),

experiments as (
    select * from {{ ref('stg_experiments') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

units as (
    select
        experiment_id,
        unit_id,
        min_by(arm, (assigned_at, arm)) as arm,
        min_by(enrollment_id, (assigned_at, arm)) as enrollment_id,
        min_by(probability, (assigned_at, arm)) as probability,
        min(assigned_at) as assigned_at,
        count(distinct arm) as count_arms
    from assignments
    group by experiment_id, unit_id
),

final as (
    select
        u.experiment_id,
        u.unit_id,
        u.arm,
        u.enrollment_id,
        u.probability,
        u.assigned_at,
        {{ local_date('u.assigned_at', 'w.timezone') }} as assigned_on,
        {{ add_seconds('u.assigned_at', 'e.window_seconds') }} as window_until_at,
        {{ add_seconds('u.assigned_at', 'e.window_seconds') }} <= w.refreshed_at as is_matured,
        u.count_arms > 1 as is_conflicting
    from units as u
    inner join experiments as e on u.experiment_id = e.experiment_id
    cross join refresh as w
)

select * from final
