-- One row per trait of leads (status, engagement, lead.source, lead.country, each attribute) and value of it.
with leads as (
    select * from {{ ref('int_leads') }}
),

sends as (
    select * from {{ ref('int_sends') }}
    where was_sent and {{ is_contact('channel') }}
),

messages as (
    select
        lead_id,
        count(*) as count_sent,
        count(*) filter (where was_delivered) as count_delivered,
        count(*) filter (where was_delivered and was_opened) as count_opened,
        count(*) filter (where was_delivered and was_clicked) as count_clicked,
        count(*) filter (where was_unsubscribed) as count_unsubscribed
    from sends
    group by lead_id
),

joined as (
    select
        l.*,
        coalesce(m.count_sent, 0) as count_sent,
        coalesce(m.count_delivered, 0) as count_delivered,
        coalesce(m.count_opened, 0) as count_opened,
        coalesce(m.count_clicked, 0) as count_clicked,
        coalesce(m.count_unsubscribed, 0) as count_unsubscribed
    from leads as l
    left join messages as m on l.lead_id = m.lead_id
),

attributes as (
    select distinct k.attribute
    from joined as j
    cross join {{ elements(document_keys('j.attributes'), 'k', 'attribute') }}
),

traits as (
    select
        lead_id,
        'status' as trait,
        status as value
    from joined
    union all
    select
        lead_id,
        'engagement' as trait,
        case
            when responded_at is not null then 'responded'
            when count_clicked > 0 then 'clicked'
            when count_opened > 0 then 'opened'
            when first_contacted_at is not null then 'no reaction'
            else 'not contacted'
        end as value
    from joined
    union all
    select
        lead_id,
        'lead.source' as trait,
        source as value
    from joined
    union all
    select
        lead_id,
        'lead.country' as trait,
        country as value
    from joined
    union all
    select
        j.lead_id,
        'lead.' || a.attribute as trait,
        {{ document_text('j.attributes', 'a.attribute') }} as value
    from joined as j
    cross join attributes as a
),

frequent as (
    select
        trait,
        value
    from traits
    group by trait, value
    qualify row_number() over (partition by trait order by count(*) desc, value) <= 50
),

valued as (
    select
        t.lead_id,
        t.trait,
        case
            when t.value is null then '(none)'
            else coalesce(f.value, '(other)')
        end as value
    from traits as t
    left join frequent as f on t.trait = f.trait and t.value = f.value
),

counted as (
    select
        v.trait,
        v.value,
        count(*) as count_leads,
        count(j.first_contacted_at) as count_contacted,
        count(j.responded_at) as count_responded,
        count(j.converted_at) as count_converted,
        cast(coalesce(sum(j.revenue), 0) as decimal(18, 4)) as revenue,
        cast(sum(j.count_without_rate) as bigint) as count_conversions_without_rate,
        cast(sum(j.count_sent) as bigint) as count_sent,
        cast(sum(j.count_delivered) as bigint) as count_delivered,
        cast(sum(j.count_opened) as bigint) as count_opened,
        cast(sum(j.count_clicked) as bigint) as count_clicked,
        cast(sum(j.count_unsubscribed) as bigint) as count_unsubscribed
    from valued as v
    inner join joined as j on v.lead_id = j.lead_id
    group by v.trait, v.value
),

final as (
    select
        *,
        {{ rate('count_responded', 'count_leads') }} as response_rate_per_lead,
        {{ rate('count_converted', 'count_leads') }} as conversion_rate_per_lead,
        {{ rate('revenue', 'count_leads') }} as revenue_per_lead,
        {{ rate('count_opened', 'count_delivered') }} as open_rate_per_delivered,
        {{ rate('count_clicked', 'count_delivered') }} as click_rate_per_delivered,
        {{ rate('count_unsubscribed', 'count_sent') }} as unsubscribe_rate_per_sent
    from counted
)

select * from final
