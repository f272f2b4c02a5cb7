-- One row per experiment.
with experiments as (
    select * from {{ ref('stg_experiments') }}
),

arms as (
    select * from {{ ref('stg_arms') }}
),

units as (
    select * from {{ ref('int_assigned_units') }}
),

assignments as (
    select * from {{ ref('stg_assignments') }}
    where reason = 'hash'
),

rulings as (
    select * from {{ ref('stg_rulings') }}
),

drawn_shares as (
    select
        experiment_id,
        arm,
        count(distinct round(probability, 9)) as count_probabilities
    from assignments
    group by experiment_id, arm
),

changes as (
    select
        experiment_id,
        max(count_probabilities) > 1 as has_changing_shares
    from drawn_shares
    group by experiment_id
),

-- An arm without a sender of its own has that of the step.
senders as (
    select
        e.experiment_id,
        count(distinct coalesce({{ json_text('e.definition', "'arms'", 'a.arm', "'sender'") }}, '')) > 1
            as has_different_senders
    from experiments as e
    inner join arms as a on e.experiment_id = a.experiment_id
    where e.varies = 'content' and a.role != 'held_out'
    group by e.experiment_id
),

controls as (
    select
        experiment_id,
        min(arm) filter (where role = 'control') as control,
        count(*) as count_arms
    from arms
    group by experiment_id
),

drawn as (
    select
        experiment_id,
        count(*) as count_units,
        count(*) filter (where is_conflicting) as count_conflicting_units
    from units
    group by experiment_id
),

final as (
    select
        e.experiment_id,
        e.sequence_id,
        e.step_id,
        e.varies,
        e.metric,
        e.window_seconds,
        e.mode,
        e.planned_leads,
        e.alpha,
        e.is_auto,
        e.registered_at,
        e.origin,
        c.control,
        coalesce(c.count_arms, 0) as count_arms,
        coalesce(d.count_units, 0) as count_units,
        coalesce(d.count_conflicting_units, 0) as count_conflicting_units,
        e.unit,
        e.allocation,
        coalesce(s.has_changing_shares, false) as has_changing_shares,
        r.declared_arm,
        r.declared_at,
        r.paused_at,
        e.guardrails,
        e.expected_loss,
        e.margin,
        coalesce(n.has_different_senders, false) as has_different_senders
    from experiments as e
    left join controls as c on e.experiment_id = c.experiment_id
    left join drawn as d on e.experiment_id = d.experiment_id
    left join changes as s on e.experiment_id = s.experiment_id
    left join senders as n on e.experiment_id = n.experiment_id
    left join rulings as r on e.experiment_id = r.experiment_id
)

select * from final
