-- One row per lead.
with leads as (
    select * from {{ ref('stg_leads') }}
),

-- One each: of a lead that stands there twice the audit is to tell that.
statuses as (
    select
        lead_id,
        min(status) as status
    from {{ ref('stg_lead_status') }}
    group by lead_id
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
        count(*) as count_enrollments
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
        t.status,
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
    inner join statuses as t on l.lead_id = t.lead_id
    left join reactions as r on l.lead_id = r.lead_id
    left join entries as n on l.lead_id = n.lead_id
    left join contacts as c on l.lead_id = c.lead_id
    left join wins as w on l.lead_id = w.lead_id
)

select * from final
