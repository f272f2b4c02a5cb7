-- One row per sequence that ever enrolled somebody and stage: leads, enrolled, each step, converted, revenue.
with enrollments as (
    select * from {{ ref('int_enrollments') }}
    where not is_holdout
),

planned_steps as (
    select * from {{ ref('int_planned_steps') }}
    where not is_holdout
),

enrollment_conversions as (
    select * from {{ ref('int_enrollment_conversions') }}
    where is_latest_entry and not is_holdout
),

leads as (
    select count(*) as count_all_leads from {{ ref('int_leads') }}
),

entries as (
    select
        sequence_id,
        count(*) as count_enrolled,
        count(distinct lead_id) as count_leads,
        count(*) filter (where was_converted) as count_converted,
        count(*) filter (where is_dropped) as count_dropped
    from enrollments
    group by sequence_id
),

-- Who moved to a version that has the step at another place may have been planned for it at both.
steps as (
    select
        p.sequence_id,
        p.step_id,
        max(p.step_ix) as step_ix,
        count(distinct p.enrollment_id) as count_reached,
        count(e.enrollment_id) as count_dropped
    from planned_steps as p
    left join enrollments as e on p.enrollment_id = e.enrollment_id and p.is_last and e.is_dropped
    group by p.sequence_id, p.step_id
),

money as (
    select
        sequence_id,
        count(distinct enrollment_id) filter (where revenue > 0) as count_with_revenue,
        sum(revenue) as revenue
    from enrollment_conversions
    group by sequence_id
),

lost_at_steps as (
    select
        sequence_id,
        sum(count_dropped) as count_dropped
    from steps
    group by sequence_id
),

totals as (
    select
        e.*,
        l.count_all_leads,
        e.count_dropped - coalesce(d.count_dropped, 0) as count_dropped_before,
        coalesce(m.count_with_revenue, 0) as count_with_revenue,
        coalesce(m.revenue, 0) as revenue
    from entries as e
    cross join leads as l
    left join lost_at_steps as d on e.sequence_id = d.sequence_id
    left join money as m on e.sequence_id = m.sequence_id
),

stages as (
    select
        sequence_id,
        0 as place,
        'leads' as stage,
        cast(null as varchar) as step_id,
        cast(null as bigint) as step_ix,
        count_all_leads as count_reached,
        cast(null as bigint) as count_dropped
    from totals
    union all
    select
        sequence_id,
        1 as place,
        'enrolled' as stage,
        null as step_id,
        null as step_ix,
        count_enrolled as count_reached,
        count_dropped_before as count_dropped
    from totals
    union all
    select
        sequence_id,
        2 as place,
        'step' as stage,
        step_id,
        step_ix,
        count_reached,
        count_dropped
    from steps
    union all
    select
        sequence_id,
        3 as place,
        'converted' as stage,
        null as step_id,
        null as step_ix,
        count_converted as count_reached,
        null as count_dropped
    from totals
    union all
    select
        sequence_id,
        4 as place,
        'revenue' as stage,
        null as step_id,
        null as step_ix,
        count_with_revenue as count_reached,
        null as count_dropped
    from totals
),

ordered as (
    select
        *,
        row_number() over (partition by sequence_id order by place, step_ix, step_id) - 1 as stage_ix,
        lag(count_reached) over (partition by sequence_id order by place, step_ix, step_id) as count_before
    from stages
),

final as (
    select
        s.sequence_id,
        s.stage_ix,
        s.stage,
        s.step_id,
        s.count_reached,
        cast(s.count_dropped as bigint) as count_dropped,
        -- Leads are not enrollments: of them it is told how many entered, each once.
        case
            when s.stage = 'enrolled' then {{ rate('t.count_leads', 't.count_all_leads') }}
            else {{ rate('s.count_reached', 's.count_before') }}
        end as reach_rate_per_previous,
        case
            when s.stage <> 'leads' then {{ rate('s.count_reached', 't.count_enrolled') }}
        end as reach_rate_per_enrolled,
        cast(case when s.stage = 'revenue' then t.revenue end as decimal(18, 4)) as revenue
    from ordered as s
    inner join totals as t on s.sequence_id = t.sequence_id
)

select * from final
