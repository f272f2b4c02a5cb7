-- One row per send.
with sends as (
    select * from {{ ref('int_sends') }}
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
),

attributed as (
    select * from {{ ref('int_attributed_sends') }}
),

contacts as (
    select * from {{ ref('int_contacts') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

final as (
    select
        s.send_id,
        s.enrollment_id,
        s.lead_id,
        s.sequence_id,
        s.version,
        cast(s.step_ix as bigint) as step_ix,
        s.step_id,
        s.variant,
        s.template,
        s.channel,
        k.position,
        s.sender,
        s.origin,
        s.status,
        s.claimed_at,
        s.handed_over_at,
        {{ local_date('s.handed_over_at', 'w.timezone') }} as sent_on,
        s.was_sent,
        s.was_delivered,
        s.is_delivery_inferred,
        s.was_opened,
        s.was_opened_any,
        s.was_clicked,
        s.was_clicked_any,
        s.was_replied,
        s.was_replied_any,
        s.was_bounced,
        s.was_complained,
        s.was_unsubscribed,
        e.credited_send_id is not null as was_converted,
        s.first_opened_at,
        s.first_clicked_at,
        s.first_replied_at,
        s.first_bounced_at,
        s.first_unsubscribed_at,
        s.cost,
        coalesce(a.conversions, 0) as attributed_conversions,
        cast(coalesce(a.revenue, 0) as decimal(18, 4)) as attributed_revenue,
        s.attempts,
        s.late_seconds
    from sends as s
    cross join refresh as w
    left join enrollments as e on s.send_id = e.credited_send_id
    left join attributed as a on s.send_id = a.send_id
    left join contacts as k on s.send_id = k.send_id
)

select * from final
