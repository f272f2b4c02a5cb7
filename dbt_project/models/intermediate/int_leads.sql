-- One row per lead.
with leads as (
    select * from {{ ref('stg_leads') }}
),

suppressions as (
    select * from {{ ref('stg_suppressions') }}
    where reason = 'do_not_contact' and lifted_at is null
),

events as (
    select * from {{ ref('stg_events') }}
    where verdict = 'human' and kind = 'rejected'
),

responses as (
    select * from {{ ref('int_responses') }}
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
    where not is_holdout
),

sends as (
    select * from {{ ref('int_sends') }}
    where was_sent
),

conversions as (
    select * from {{ ref('int_conversions') }}
),

blocked as (
    select distinct lead_id from suppressions
),

refusals as (
    select distinct lead_id from events
),

reactions as (
    select
        lead_id,
        min(responded_at) as responded_at,
        max(responded_at) as last_responded_at
    from responses
    group by lead_id
),

entries as (
    select
        lead_id,
        count(*) as count_enrollments,
        bool_or(status in ('active', 'paused')) as is_running,
        max_by(end_reason, (enrolled_at, enrollment_id)) as last_end_reason
    from enrollments
    group by lead_id
),

contacts as (
    select
        lead_id,
        count(*) as count_sends,
        min(handed_over_at) as first_contacted_at
    from sends
    group by lead_id
),

wins as (
    select
        lead_id,
        min(converted_at) as converted_at,
        max(converted_at) as last_converted_at,
        count(*) filter (where not has_rate) as count_without_rate,
        bool_or(not is_reversed) as has_standing_conversion,
        sum(revenue) as revenue
    from conversions
    group by lead_id
),

final as (
    select
        l.lead_id,
        l.created_at,
        l.source,
        l.country,
        l.timezone,
        l.origin,
        case
            when b.lead_id is not null then 'do_not_contact'
            when w.has_standing_conversion then 'converted'
            when f.lead_id is not null or w.lead_id is not null then 'rejected'
            when n.last_end_reason = 'inactive' then 'inactive'
            when r.responded_at is not null then 'responded'
            when c.lead_id is not null then 'contacted'
            when n.is_running then 'in_progress'
            else 'new'
        end as status,
        c.first_contacted_at,
        r.responded_at,
        r.last_responded_at,
        w.converted_at,
        w.last_converted_at,
        coalesce(w.count_without_rate, 0) as count_without_rate,
        coalesce(n.count_enrollments, 0) as count_enrollments,
        coalesce(c.count_sends, 0) as count_sends,
        cast(case when w.lead_id is null then 0 else w.revenue end as decimal(18, 4)) as revenue,
        l.attributes
    from leads as l
    left join blocked as b on l.lead_id = b.lead_id
    left join refusals as f on l.lead_id = f.lead_id
    left join reactions as r on l.lead_id = r.lead_id
    left join entries as n on l.lead_id = n.lead_id
    left join contacts as c on l.lead_id = c.lead_id
    left join wins as w on l.lead_id = w.lead_id
)

select * from final
