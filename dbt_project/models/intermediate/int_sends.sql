-- One row per send.
with sends as (
    select * from {{ ref('stg_sends') }}
),

versions as (
    select * from {{ ref('stg_sequence_versions') }}
),

steps as (
    select * from {{ ref('stg_steps') }}
),

events as (
    select * from {{ ref('stg_events') }}
    where send_id is not null
),

prices as (
    select * from {{ ref('stg_prices') }}
),

templates as (
    select * from {{ ref('stg_step_templates') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

-- A click shows that the message was open.
reactions as (
    select
        send_id,
        min(occurred_at) filter (where kind = 'delivered') as first_delivered_at,
        -- What only a delivered message can lead to.
        min(occurred_at) filter (
            where
            kind in ('delivered', 'auto_replied', 'complained')
            or (kind in ('opened', 'clicked', 'replied', 'unsubscribed') and verdict = 'human')
        ) as known_delivered_at,
        min(occurred_at) filter (where kind = 'bounced') as first_bounced_at,
        min(occurred_at) filter (where kind in ('opened', 'clicked') and verdict = 'human') as first_opened_at,
        min(occurred_at) filter (where kind = 'clicked' and verdict = 'human') as first_clicked_at,
        min(occurred_at) filter (where kind = 'replied' and verdict = 'human') as first_replied_at,
        min(occurred_at) filter (where kind = 'complained') as first_complained_at,
        min(occurred_at) filter (where kind = 'unsubscribed' and verdict = 'human') as first_unsubscribed_at,
        bool_or(kind in ('opened', 'clicked')) as was_opened_any,
        bool_or(kind = 'clicked') as was_clicked_any,
        bool_or(kind in ('replied', 'auto_replied')) as was_replied_any
    from events
    group by send_id
),

-- A sender reports receipts when it ever reported one.
receipts as (
    select
        s.channel,
        s.sender,
        s.origin,
        bool_or(r.first_delivered_at is not null) as has_receipts
    from sends as s
    inner join reactions as r on s.send_id = r.send_id
    group by s.channel, s.sender, s.origin
),

-- A domain of few people may name one of them, and the warehouse holds no identity (R22).
shared_domains as (
    select recipient_domain
    from sends
    where recipient_domain is not null
    group by recipient_domain
    having count(distinct lead_id) >= 10
),

joined as (
    select
        s.*,
        case
            when s.recipient_domain is null then '(none)'
            else coalesce(d.recipient_domain, '(few)')
        end as shown_domain,
        v.sequence_id,
        v.version,
        coalesce(t.step_id, 'step_' || cast(s.step_ix as varchar)) as step_id,
        coalesce(a.template, b.template) as template,
        c.cost as price,
        c.currency as price_currency,
        s.status = 'handed_over' as was_sent,
        case when s.status = 'handed_over' then s.settled_at end as handed_over_at,
        r.first_bounced_at,
        r.first_opened_at,
        r.first_clicked_at,
        r.first_replied_at,
        r.first_complained_at,
        r.first_unsubscribed_at,
        r.known_delivered_at,
        coalesce(r.was_opened_any, false) as was_opened_any,
        coalesce(r.was_clicked_any, false) as was_clicked_any,
        coalesce(r.was_replied_any, false) as was_replied_any,
        coalesce(p.has_receipts, false) as has_receipts
    from sends as s
    left join versions as v on s.version_id = v.version_id
    left join steps as t on s.version_id = t.version_id and s.step_ix = t.step_ix
    left join reactions as r on s.send_id = r.send_id
    left join receipts as p on s.channel = p.channel and s.sender = p.sender and s.origin = p.origin
    left join shared_domains as d on s.recipient_domain = d.recipient_domain
    left join templates as a
        on
            s.version_id = a.version_id
            and s.step_ix = a.step_ix
            and s.variant = a.arm
            and {{ has_body('s.channel') }}
    left join templates as b
        on s.version_id = b.version_id and s.step_ix = b.step_ix and b.arm is null and {{ has_body('s.channel') }}
    -- A message has the price of its hand-over.
    left join prices as c
        on
            s.sender = c.sender
            and s.origin = 'live'
            and s.status = 'handed_over'
            and s.settled_at >= c.since
            and coalesce(s.settled_at < c.until, true)
),

-- R25: without receipts, what did not come back within 72 hours has arrived.
judged as (
    select
        j.*,
        case when j.price_currency = w.currency then j.price end as cost,
        j.was_sent
        and j.known_delivered_at is null
        and not j.has_receipts
        and {{ add_seconds('j.handed_over_at', 72 * 3600) }} <= w.refreshed_at
        and coalesce(j.first_bounced_at > {{ add_seconds('j.handed_over_at', 72 * 3600) }}, true)
            as is_delivery_inferred
    from joined as j
    cross join refresh as w
),

final as (
    select
        send_id,
        enrollment_id,
        lead_id,
        sequence_id,
        version_id,
        version,
        step_ix,
        step_id,
        variant,
        -- Where the words stand in the sequence's file, the step is their template.
        coalesce(template, sequence_id || '/' || step_id) as template,
        channel,
        sender,
        shown_domain as recipient_domain,
        origin,
        status,
        reason,
        claimed_at,
        zone,
        local_on,
        settled_at,
        handed_over_at,
        was_sent,
        was_sent and (known_delivered_at is not null or is_delivery_inferred) as was_delivered,
        is_delivery_inferred,
        first_opened_at is not null as was_opened,
        was_opened_any,
        first_clicked_at is not null as was_clicked,
        was_clicked_any,
        first_replied_at is not null as was_replied,
        was_replied_any,
        first_bounced_at is not null as was_bounced,
        first_complained_at is not null as was_complained,
        first_unsubscribed_at is not null as was_unsubscribed,
        -- An inferred delivery is one from the end of the 72 hours on.
        case
            when was_sent and known_delivered_at is not null then known_delivered_at
            when is_delivery_inferred then {{ add_seconds('handed_over_at', 72 * 3600) }}
        end as delivered_at,
        first_bounced_at,
        first_complained_at,
        first_unsubscribed_at,
        first_opened_at,
        first_clicked_at,
        first_replied_at,
        cost,
        cast(attempts as bigint) as attempts,
        cast({{ seconds_between('slot_at', 'handed_over_at') }} as bigint) as late_seconds
    from judged
)

select * from final
