-- One row per sequence, place among the contacts of an enrollment, and channel.
with sends as (
    select * from {{ ref('int_sends') }}
),

contacts as (
    select * from {{ ref('int_contacts') }}
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
),

placed as (
    select
        s.*,
        c.position
    from sends as s
    inner join contacts as c on s.send_id = c.send_id
),

final as (
    select
        p.sequence_id,
        p.position,
        p.channel,
        count(*) as count_sent,
        count(*) filter (where p.was_delivered) as count_delivered,
        count(*) filter (where p.was_delivered and p.was_opened) as count_opened,
        count(*) filter (where p.was_delivered and p.was_clicked) as count_clicked,
        count(*) filter (where p.was_replied) as count_replied,
        count(*) filter (where p.was_bounced) as count_bounced,
        count(*) filter (where p.was_unsubscribed) as count_unsubscribed,
        count(e.credited_send_id) as count_converted,
        {{ rate('count_replied', 'count_sent') }} as reply_rate_per_sent,
        {{ rate('count_converted', 'count_sent') }} as conversion_rate_per_sent,
        {{ rate('count_unsubscribed', 'count_sent') }} as unsubscribe_rate_per_sent
    from placed as p
    left join enrollments as e on p.send_id = e.credited_send_id
    group by p.sequence_id, p.position, p.channel
)

select * from final
