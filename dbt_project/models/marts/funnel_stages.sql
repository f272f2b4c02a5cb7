-- One row per scope (the workspace, each sequence) and stage.
with leads as (
    select * from {{ ref('int_leads') }}
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
    where not is_holdout
),

enrollment_conversions as (
    select * from {{ ref('int_enrollment_conversions') }}
    where is_latest_entry and not is_holdout
),

in_workspace as (
    select
        'workspace' as scope,
        cast(null as varchar) as sequence_id,
        first_contacted_at as contacted_at,
        last_responded_at,
        last_converted_at,
        revenue,
        count_without_rate
    from leads
),

-- A lead that entered twice is one lead.
entries as (
    select
        sequence_id,
        lead_id,
        min(first_contacted_at) as contacted_at,
        max(last_responded_at) as last_responded_at,
        max(last_converted_at) as last_converted_at
    from enrollments
    group by sequence_id, lead_id
),

entry_conversions as (
    select
        sequence_id,
        lead_id,
        sum(revenue) as revenue,
        count(*) filter (where not has_rate) as count_without_rate
    from enrollment_conversions
    group by sequence_id, lead_id
),

in_sequences as (
    select
        'sequence' as scope,
        e.sequence_id,
        e.contacted_at,
        e.last_responded_at,
        e.last_converted_at,
        c.revenue,
        coalesce(c.count_without_rate, 0) as count_without_rate
    from entries as e
    left join entry_conversions as c on e.sequence_id = c.sequence_id and e.lead_id = c.lead_id
),

units as (
    select * from in_workspace
    union all
    select * from in_sequences
),

stages as (
    select *
    from (
        values (0, 'leads'), (1, 'contacted'), (2, 'responded'), (3, 'converted'), (4, 'revenue')
    ) as t (stage_ix, stage)
),

ordered as (
    select
        *,
        coalesce(last_responded_at >= contacted_at, false) as has_responded_after,
        coalesce(last_responded_at >= contacted_at and last_converted_at >= contacted_at, false) as has_converted_after
    from units
),

placed as (
    select
        o.*,
        s.stage_ix,
        s.stage,
        case s.stage
            when 'leads' then true
            when 'contacted' then o.contacted_at is not null
            when 'responded' then o.last_responded_at is not null
            when 'converted' then o.last_converted_at is not null
            else coalesce(o.revenue > 0, false)
        end as has_reached,
        case s.stage
            when 'leads' then true
            when 'contacted' then o.contacted_at is not null
            when 'responded' then o.has_responded_after
            when 'converted' then o.has_converted_after
            else o.has_converted_after and coalesce(o.revenue > 0, false)
        end as is_through
    from ordered as o
    cross join stages as s
),

counted as (
    select
        scope,
        sequence_id,
        cast(stage_ix as bigint) as stage_ix,
        stage,
        count(*) as count_leads,
        count(*) filter (where has_reached) as count_reached,
        count(*) filter (where is_through) as count_through,
        cast(coalesce(sum(revenue) filter (where has_reached), 0) as decimal(18, 4)) as revenue,
        cast(coalesce(sum(count_without_rate) filter (where has_reached), 0) as bigint)
            as count_conversions_without_rate
    from placed
    group by scope, sequence_id, stage_ix, stage
),

final as (
    select
        scope,
        sequence_id,
        stage_ix,
        stage,
        count_leads,
        count_reached,
        count_through,
        coalesce(
            lag(count_through) over (partition by scope, sequence_id order by stage_ix) - count_through, 0
        ) as count_dropped,
        {{ rate('count_through', 'count_leads') }} as through_rate_per_lead,
        revenue,
        count_conversions_without_rate
    from counted
)

select * from final
