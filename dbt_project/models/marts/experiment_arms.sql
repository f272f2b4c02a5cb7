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

unit_leads as (
    select * from {{ ref('int_unit_leads') }}
),

-- Opens tell nothing here: half of them are machines.
engaged_leads as (
    select
        lead_id,
        min(occurred_at) as first_engaged_at
    from {{ ref('stg_events') }}
    where kind in ('clicked', 'replied', 'converted') and verdict = 'human'
    group by lead_id
),

-- Who had clicked, replied or converted before the draw: known before, so it takes noise out of the comparison.
engaged as (
    select distinct
        u.experiment_id,
        u.unit_id
    from units as u
    inner join unit_leads as l on u.experiment_id = l.experiment_id and u.unit_id = l.unit_id
    inner join engaged_leads as g on l.lead_id = g.lead_id and u.assigned_at > g.first_engaged_at
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

drawn as (
    select
        u.experiment_id,
        u.arm,
        u.assigned_on,
        count(*) as n_assigned,
        count(*) filter (where u.is_matured) as n,
        count(g.unit_id) filter (where u.is_matured) as n_engaged,
        avg(u.probability) as probability
    from units as u
    left join engaged as g on u.experiment_id = g.experiment_id and u.unit_id = g.unit_id
    group by u.experiment_id, u.arm, u.assigned_on
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
        coalesce(d.n, 0) as n,
        coalesce(d.n_engaged, 0) as n_engaged,
        d.probability
    from arms as a
    inner join experiments as e on a.experiment_id = e.experiment_id
    cross join refresh as w
    left join drawn as d on a.experiment_id = d.experiment_id and a.arm = d.arm
),

summed as (
    select
        o.experiment_id,
        o.metric,
        o.arm,
        o.assigned_on,
        cast(sum(o.value) filter (where o.is_matured) as double) as sum,
        sum(cast(o.value as double) * cast(o.value as double)) filter (where o.is_matured) as sum_squares,
        cast(sum(o.value) filter (where o.is_matured and g.unit_id is not null) as double) as sum_engaged,
        cast(sum(o.value) as double) as sum_so_far
    from outcomes as o
    left join engaged as g on o.experiment_id = g.experiment_id and o.unit_id = g.unit_id
    group by o.experiment_id, o.metric, o.arm, o.assigned_on
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
        coalesce(s.sum_squares, 0) as sum_squares,
        d.probability,
        d.n_engaged,
        coalesce(s.sum_engaged, 0) as sum_engaged,
        coalesce(s.sum_so_far, 0) as sum_so_far
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
