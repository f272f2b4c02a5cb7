-- All days together are all messages, by either way of counting, and all enrollments.
with days as (
    select
        sequence_id,
        counted_by,
        sum(count_sent) as count_sent,
        sum(count_delivered) as count_delivered,
        sum(count_opened) as count_opened,
        sum(count_clicked) as count_clicked,
        sum(count_replied) as count_replied,
        sum(count_bounced) as count_bounced,
        sum(count_complained) as count_complained,
        sum(count_unsubscribed) as count_unsubscribed
    from {{ ref('daily_metrics') }}
    group by sequence_id, counted_by
),

sends as (
    select
        sequence_id,
        count(*) as count_sent,
        count(*) filter (where was_delivered) as count_delivered,
        count(*) filter (where was_opened) as count_opened,
        count(*) filter (where was_clicked) as count_clicked,
        count(*) filter (where was_replied) as count_replied,
        count(*) filter (where was_bounced) as count_bounced,
        count(*) filter (where was_complained) as count_complained,
        count(*) filter (where was_unsubscribed) as count_unsubscribed
    from {{ ref('sends') }}
    where was_sent
    group by sequence_id
),

enrollments as (
    select
        sequence_id,
        count(*) as count_enrolled,
        count(*) filter (where was_converted) as count_converted
    from {{ ref('enrollments') }}
    where not is_holdout
    group by sequence_id
),

happened as (
    select
        sequence_id,
        sum(count_enrolled) as count_enrolled,
        sum(count_converted) as count_converted
    from {{ ref('daily_metrics') }}
    where counted_by = 'event_time'
    group by sequence_id
)

select
    s.sequence_id,
    d.counted_by as what
from sends as s
left join days as d on s.sequence_id = d.sequence_id
where
    d.count_sent is distinct from s.count_sent
    or d.count_delivered <> s.count_delivered
    or d.count_opened <> s.count_opened
    or d.count_clicked <> s.count_clicked
    or d.count_replied <> s.count_replied
    or d.count_bounced <> s.count_bounced
    or d.count_complained <> s.count_complained
    or d.count_unsubscribed <> s.count_unsubscribed
union all
select
    e.sequence_id,
    'enrollments' as what
from enrollments as e
left join happened as h on e.sequence_id = h.sequence_id
where h.count_enrolled is distinct from e.count_enrolled or h.count_converted <> e.count_converted
