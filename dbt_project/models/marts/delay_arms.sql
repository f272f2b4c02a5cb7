-- One row per delay experiment and arm.
with experiments as (
    select * from {{ ref('stg_experiments') }}
    where varies = 'delay'
),

arms as (
    select * from {{ ref('stg_arms') }}
),

units as (
    select * from {{ ref('int_assigned_units') }}
    where not is_conflicting
),

outcomes as (
    select * from {{ ref('int_outcomes') }}
    where is_matured
),

drawn as (
    select
        experiment_id,
        arm,
        count(*) as n_assigned,
        count(*) filter (where is_matured) as n
    from units
    group by experiment_id, arm
),

reached as (
    select
        experiment_id,
        arm,
        count(distinct unit_id) filter (where metric = 'replied') as count_replied,
        count(distinct unit_id) filter (where metric like 'goal(%') as count_converted
    from outcomes
    group by experiment_id, arm
),

final as (
    select
        a.experiment_id,
        a.arm,
        a.delay_seconds,
        a.role,
        coalesce(d.n_assigned, 0) as n_assigned,
        coalesce(d.n, 0) as n,
        coalesce(r.count_replied, 0) as count_replied,
        coalesce(r.count_converted, 0) as count_converted
    from experiments as e
    inner join arms as a on e.experiment_id = a.experiment_id
    left join drawn as d on a.experiment_id = d.experiment_id and a.arm = d.arm
    left join reached as r on a.experiment_id = r.experiment_id and a.arm = r.arm
)

select * from final
