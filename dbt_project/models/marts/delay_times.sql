-- One row per delay experiment, arm, metric, whole day since the draw and what came then.
with experiments as (
    select * from {{ ref('stg_experiments') }}
    where varies = 'delay'
),

units as (
    select u.*
    from {{ ref('int_assigned_units') }} as u
    semi join experiments as e on u.experiment_id = e.experiment_id
    where not u.is_conflicting
),

outcomes as (
    select o.*
    from {{ ref('int_outcomes') }} as o
    semi join experiments as e on o.experiment_id = e.experiment_id
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
    where end_reason in ('stopped', 'archived')
),

-- What ends the wait: the outcome itself, and what competes with it.
firsts as (
    select
        experiment_id,
        unit_id,
        min(first_at) filter (where metric = 'replied') as replied_at,
        min(first_at) filter (where metric like 'goal(%') as converted_at,
        min(first_at) filter (where metric in ('unsubscribed', 'complained')) as unsubscribed_at,
        min(first_at) filter (where metric = 'bounced') as bounced_at
    from outcomes
    group by experiment_id, unit_id
),

observed as (
    select
        u.experiment_id,
        u.unit_id,
        u.arm,
        u.assigned_at,
        f.replied_at,
        f.converted_at,
        f.unsubscribed_at,
        f.bounced_at,
        least(u.window_until_at, w.refreshed_at) as observed_until,
        case when n.ended_at between u.assigned_at and u.window_until_at then n.ended_at end as stopped_at
    from units as u
    cross join refresh as w
    left join firsts as f on u.experiment_id = f.experiment_id and u.unit_id = f.unit_id
    left join enrollments as n on u.enrollment_id = n.enrollment_id
),

waited as (
    select
        *,
        'replied' as metric,
        replied_at as reached_at
    from observed
    union all
    select
        *,
        'converted' as metric,
        converted_at as reached_at
    from observed
),

timed as (
    select
        *,
        least(reached_at, unsubscribed_at, bounced_at, stopped_at) as first_at,
        least(reached_at, unsubscribed_at, bounced_at, stopped_at, greatest(observed_until, assigned_at)) as until_at
    from waited
),

ended as (
    select
        experiment_id,
        arm,
        metric,
        unit_id,
        case
            when first_at is null then null
            when first_at = reached_at then metric
            when first_at = unsubscribed_at then 'unsubscribed'
            when first_at = bounced_at then 'bounced'
            else 'stopped'
        end as outcome,
        cast(floor({{ seconds_between('assigned_at', 'until_at') }} / 86400) as bigint) as whole_days
    from timed
),

final as (
    select
        experiment_id,
        arm,
        metric,
        whole_days,
        outcome,
        count(*) as count_units
    from ended
    group by experiment_id, arm, metric, whole_days, outcome
)

select * from final
