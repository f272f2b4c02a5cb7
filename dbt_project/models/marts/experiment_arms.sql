-- One row per experiment, metric, arm and day of assignment.
with experiments as (
    select * from {{ ref('stg_experiments') }}
),

arms as (
    select * from {{ ref('stg_arms') }}
),

metrics as (
    select * from {{ ref('int_experiment_metrics') }}
),

units as (
    select * from {{ ref('int_assigned_units') }}
    where not is_conflicting
),

outcomes as (
    select * from {{ ref('int_outcomes') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

drawn as (
    select
        experiment_id,
        arm,
        assigned_on,
        count(*) as n_assigned,
        count(*) filter (where is_matured) as n
    from units
    group by experiment_id, arm, assigned_on
),

-- An arm that nobody drew keeps a row of zeros: the sample-ratio check must see it.
days as (
    select
        a.experiment_id,
        a.arm,
        a.role,
        a.share,
        coalesce(d.assigned_on, {{ local_date('e.registered_at', 'w.timezone') }}) as assigned_on,
        coalesce(d.n_assigned, 0) as n_assigned,
        coalesce(d.n, 0) as n
    from arms as a
    inner join experiments as e on a.experiment_id = e.experiment_id
    cross join refresh as w
    left join drawn as d on a.experiment_id = d.experiment_id and a.arm = d.arm
),

summed as (
    select
        experiment_id,
        metric,
        arm,
        assigned_on,
        cast(sum(value) as double) as sum,
        sum(cast(value as double) * cast(value as double)) as sum_squares
    from outcomes
    group by experiment_id, metric, arm, assigned_on
),

final as (
    select
        d.experiment_id,
        m.metric,
        m.is_primary,
        d.arm,
        d.role,
        d.share,
        d.assigned_on,
        d.n_assigned,
        d.n,
        coalesce(s.sum, 0) as sum,
        coalesce(s.sum_squares, 0) as sum_squares
    from days as d
    inner join metrics as m on d.experiment_id = m.experiment_id
    left join summed as s
        on
            d.experiment_id = s.experiment_id
            and m.metric = s.metric
            and d.arm = s.arm
            and d.assigned_on = s.assigned_on
)

select * from final
