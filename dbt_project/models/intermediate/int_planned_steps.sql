-- One row per enrollment and step that was planned or sent, with what became of it.
with decisions as (
    select * from {{ ref('stg_decisions') }}
),

sends as (
    select * from {{ ref('int_sends') }}
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
),

steps as (
    select * from {{ ref('stg_steps') }}
),

assignments as (
    select * from {{ ref('stg_assignments') }}
),

account_leads as (
    select * from {{ ref('stg_account_leads') }}
),

latest_decisions as (
    select
        enrollment_id,
        step_ix,
        min(version_id) as version_id,
        max_by(outcome, (planned_at, coalesce(settled_at, planned_at))) as outcome,
        max_by(coalesce(settled_at, planned_at), (planned_at, coalesce(settled_at, planned_at))) as decided_at
    from decisions
    group by enrollment_id, step_ix
),

-- Imported sends were never planned here.
planned as (
    select
        coalesce(d.enrollment_id, s.enrollment_id) as enrollment_id,
        coalesce(d.step_ix, s.step_ix) as step_ix,
        coalesce(s.version_id, d.version_id) as version_id,
        s.send_id,
        s.variant,
        s.channel,
        d.decided_at,
        case
            when s.status = 'handed_over' then 'sent'
            when s.status in ('refused', 'unknown') then s.status
            when s.send_id is null or s.status = 'withdrawn' then coalesce(d.outcome, 'skipped')
            else 'in_flight'
        end as outcome
    from latest_decisions as d
    full outer join sends as s on d.enrollment_id = s.enrollment_id and d.step_ix = s.step_ix
),

arms as (
    select
        a.experiment_id,
        coalesce(l.lead_id, a.unit_id) as lead_id,
        min_by(a.arm, a.assigned_at) as arm
    from assignments as a
    left join account_leads as l on a.experiment_id = l.experiment_id and a.unit_id = l.unit_id
    group by a.experiment_id, coalesce(l.lead_id, a.unit_id)
),

final as (
    select
        p.enrollment_id,
        p.step_ix,
        e.sequence_id,
        e.version,
        coalesce(t.step_id, 'step_' || cast(p.step_ix as varchar)) as step_id,
        coalesce(p.variant, a.arm) as variant,
        coalesce(p.channel, t.kind) as channel,
        p.outcome,
        p.decided_at,
        p.send_id,
        e.is_holdout,
        -- Steps are numbered in the order of the file, and nobody goes back.
        p.step_ix = max(p.step_ix) over (partition by p.enrollment_id) as is_last
    from planned as p
    inner join enrollments as e on p.enrollment_id = e.enrollment_id
    left join steps as t on p.version_id = t.version_id and p.step_ix = t.step_ix
    left join arms as a on t.experiment_id = a.experiment_id and e.lead_id = a.lead_id
)

select * from final
