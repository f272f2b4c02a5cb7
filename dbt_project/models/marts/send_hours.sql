-- One row per sequence, weekday and hour in which it sent something that people can answer.
with sends as (
    select * from {{ ref('int_sends') }}
    where was_sent and {{ is_message('channel') }}
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
),

draws as (
    select * from {{ ref('stg_hour_draws') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

-- The wall clock of the recipient, as the engine knew it; imports and who still has time to answer are no evidence.
placed as (
    select
        s.*,
        {{ local_date('s.handed_over_at', 's.zone') }} as sent_on,
        cast({{ local_weekday('s.handed_over_at', 's.zone') }} as bigint) as weekday,
        cast({{ local_hour('s.handed_over_at', 's.zone') }} as bigint) as hour,
        s.origin = 'live' and {{ add_seconds('s.handed_over_at', 7 * 86400) }} <= r.refreshed_at as has_matured,
        least(s.first_clicked_at, s.first_replied_at)
        <= {{ add_seconds('s.handed_over_at', 7 * 86400) }} as has_responded,
        e.credited_send_id is not null as was_converted
    from sends as s
    cross join refresh as r
    left join enrollments as e on s.send_id = e.credited_send_id
),

-- A limit or a downtime may have moved a message out of the four hours that were drawn: then no lot decided.
judged as (
    select
        p.*,
        case when p.has_matured then d.propensity end as propensity
    from placed as p
    left join draws as d
        on
            p.enrollment_id = d.enrollment_id
            and p.version_id = d.version_id
            and p.step_ix = d.step_ix
            and p.hour // 4 = d.block
            and p.sent_on = d.local_on
),

counted as (
    select
        sequence_id,
        weekday,
        hour,
        count(*) as count_sent,
        count(*) filter (where was_delivered) as count_delivered,
        count(*) filter (where was_opened) as count_opened,
        count(*) filter (where was_clicked) as count_clicked,
        count(*) filter (where was_replied) as count_replied,
        count(*) filter (where was_converted) as count_converted,
        count(*) filter (where has_matured) as n,
        count(*) filter (where has_matured and has_responded) as count_responded,
        count(propensity) as count_randomised,
        avg(propensity) as propensity
    from judged
    group by sequence_id, weekday, hour
),

final as (
    select
        *,
        {{ rate('count_opened', 'count_sent') }} as open_rate_per_sent,
        {{ rate('count_clicked', 'count_sent') }} as click_rate_per_sent,
        {{ rate('count_replied', 'count_sent') }} as reply_rate_per_sent,
        {{ rate('count_converted', 'count_sent') }} as conversion_rate_per_sent
    from counted
)

select * from final
