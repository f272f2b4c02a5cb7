-- One row per sequence that ever enrolled somebody.
with enrollments as (
    select * from {{ ref('int_enrollments') }}
    where not is_holdout
),

sends as (
    select * from {{ ref('int_sends') }}
    where was_sent
),

sequences as (
    select * from {{ ref('stg_sequences') }}
),

leads as (
    select count(*) as count_all_leads from {{ ref('int_leads') }}
),

entries as (
    select
        sequence_id,
        count(*) as count_enrolled,
        count(distinct lead_id) as count_leads,
        count(*) filter (where ended_at is null) as count_running,
        -- An end step may name a status of its own; whom a step holds out was not through.
        count(*) filter (where status = 'completed' and coalesce(end_reason, '') <> 'held_out') as count_completed,
        count(*) filter (where was_contacted) as count_contacted,
        count(*) filter (where was_replied) as count_replied,
        count(*) filter (where was_converted) as count_converted,
        cast(coalesce(sum(revenue), 0) as decimal(18, 4)) as revenue,
        count(*) filter (where was_converted and revenue is null) as count_converted_without_rate,
        max(enrolled_at) as last_enrolled_at
    from enrollments
    group by sequence_id
),

messages as (
    select
        sequence_id,
        count(*) as count_sent,
        count(*) filter (where was_delivered) as count_delivered,
        count(*) filter (where was_delivered and was_opened) as count_opened,
        count(*) filter (where was_delivered and was_clicked) as count_clicked,
        count(*) filter (where was_unsubscribed) as count_unsubscribed
    from sends
    where {{ is_contact('channel') }}
    group by sequence_id
),

counted as (
    select
        e.*,
        l.count_all_leads,
        coalesce(m.count_sent, 0) as count_sent,
        coalesce(m.count_delivered, 0) as count_delivered,
        coalesce(m.count_opened, 0) as count_opened,
        coalesce(m.count_clicked, 0) as count_clicked,
        coalesce(m.count_unsubscribed, 0) as count_unsubscribed
    from entries as e
    cross join leads as l
    left join messages as m on e.sequence_id = m.sequence_id
),

final as (
    select
        c.sequence_id,
        s.campaign,
        s.tags,
        count_enrolled,
        count_leads,
        count_running,
        count_completed,
        count_contacted,
        count_replied,
        count_converted,
        count_sent,
        count_delivered,
        count_opened,
        count_clicked,
        count_unsubscribed,
        revenue,
        count_converted_without_rate,
        {{ rate('count_leads', 'count_all_leads') }} as enrollment_rate_per_lead,
        {{ rate('count_completed', 'count_enrolled') }} as completion_rate_per_enrolled,
        {{ rate('count_converted', 'count_enrolled') }} as conversion_rate_per_enrolled,
        {{ rate('revenue', 'count_enrolled') }} as revenue_per_enrolled,
        {{ rate('count_replied', 'count_contacted') }} as reply_rate_per_contacted,
        {{ rate('count_opened', 'count_delivered') }} as open_rate_per_delivered,
        {{ rate('count_clicked', 'count_delivered') }} as click_rate_per_delivered,
        {{ rate('count_unsubscribed', 'count_sent') }} as unsubscribe_rate_per_sent,
        last_enrolled_at
    from counted as c
    left join sequences as s on c.sequence_id = s.sequence_id
)

select * from final
