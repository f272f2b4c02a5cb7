-- One row per sender, channel, recipient domain and day.
with sends as (
    select * from {{ ref('int_sends') }}
    where {{ is_message('channel') }} and (was_sent or status in ('refused', 'unknown'))
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

-- Whatever comes back, however late, counts on the day of its message.
placed as (
    select
        s.*,
        {{ local_date('coalesce(s.handed_over_at, s.settled_at)', 'w.timezone') }} as sent_on,
        {{ add_seconds('s.handed_over_at', 72 * 3600) }} > w.refreshed_at as is_young
    from sends as s
    cross join refresh as w
),

counted as (
    select
        sender,
        channel,
        recipient_domain,
        sent_on,
        count(*) as count_attempted,
        count(*) filter (where status = 'refused') as count_refused,
        count(*) filter (where status = 'refused' and was_bounced) as count_bounced_at_once,
        count(*) filter (where status = 'unknown') as count_unknown,
        count(*) filter (where was_sent) as count_sent,
        count(*) filter (where was_delivered) as count_delivered,
        count(*) filter (where is_delivery_inferred) as count_delivery_inferred,
        count(*) filter (where was_sent and was_bounced) as count_bounced,
        count(*) filter (where was_sent and not was_delivered and not was_bounced and is_young) as count_pending,
        count(*) filter (where was_sent and not was_delivered and not was_bounced and not is_young) as count_lost,
        count(*) filter (where was_delivered and was_complained) as count_complained,
        count(*) filter (where was_delivered and was_unsubscribed) as count_unsubscribed
    from placed
    group by sender, channel, recipient_domain, sent_on
),

final as (
    select
        *,
        {{ rate('count_delivered', 'count_sent') }} as delivery_rate_per_sent,
        {{ rate('count_bounced + count_bounced_at_once', 'count_attempted') }} as bounce_rate_per_attempted,
        {{ rate('count_complained', 'count_delivered') }} as complaint_rate_per_delivered,
        {{ rate('count_unsubscribed', 'count_delivered') }} as unsubscribe_rate_per_delivered
    from counted
)

select * from final
