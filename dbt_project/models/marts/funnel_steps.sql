-- One row per sequence, version, step, variant and channel.
with planned_steps as (
    select * from {{ ref('int_planned_steps') }}
),

sends as (
    select * from {{ ref('int_sends') }}
    where was_sent
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
),

dropped as (
    select * from {{ ref('int_enrollments') }}
    where is_dropped and not is_holdout
),

joined as (
    select
        p.*,
        coalesce(s.was_delivered, false) as was_delivered,
        coalesce(s.was_opened, false) as was_opened,
        coalesce(s.was_opened_any, false) as was_opened_any,
        coalesce(s.was_clicked, false) as was_clicked,
        coalesce(s.was_clicked_any, false) as was_clicked_any,
        coalesce(s.was_replied, false) as was_replied,
        coalesce(s.was_replied_any, false) as was_replied_any,
        e.credited_send_id is not null as was_converted,
        p.is_last and d.enrollment_id is not null as was_dropped
    from planned_steps as p
    left join sends as s on p.send_id = s.send_id
    left join enrollments as e on s.send_id = e.credited_send_id
    left join dropped as d on p.enrollment_id = d.enrollment_id
),

counted as (
    select
        sequence_id,
        version,
        cast(step_ix as bigint) as step_ix,
        step_id,
        variant,
        channel,
        count(*) filter (where not is_holdout) as count_entered,
        count(*) filter (where outcome = 'sent') as count_sent,
        count(*) filter (where was_delivered) as count_delivered,
        count(*) filter (where was_opened) as count_opened,
        count(*) filter (where was_opened_any) as count_opened_any,
        count(*) filter (where was_clicked) as count_clicked,
        count(*) filter (where was_clicked_any) as count_clicked_any,
        count(*) filter (where was_replied) as count_replied,
        count(*) filter (where was_replied_any) as count_replied_any,
        count(*) filter (where was_converted) as count_converted,
        count(*) filter (where was_dropped) as count_dropped,
        count(*) filter (where outcome = 'skipped' and not is_holdout) as count_skipped,
        count(*) filter (where outcome = 'postponed' and not is_holdout) as count_postponed,
        count(*) filter (where outcome = 'refused' and not is_holdout) as count_refused,
        count(*) filter (where outcome = 'unknown' and not is_holdout) as count_unknown,
        count(*) filter (where outcome = 'in_flight' and not is_holdout) as count_in_flight,
        count(*) filter (where outcome = 'held_out') as count_held_out
    from joined
    group by sequence_id, version, step_ix, step_id, variant, channel
),

final as (
    select
        *,
        {{ rate('count_opened', 'count_sent') }} as open_rate_per_sent,
        {{ rate('count_clicked', 'count_sent') }} as click_rate_per_sent,
        {{ rate('count_replied', 'count_sent') }} as reply_rate_per_sent,
        {{ rate('count_converted', 'count_sent') }} as conversion_rate_per_sent,
        {{ rate('count_dropped', 'count_entered') }} as drop_off_rate_per_entered
    from counted
)

select * from final
