-- One row per sequence, day and way of counting: when it happened, or when its message was sent.
{% set moments = {
    'sent': 'handed_over_at',
    'delivered': 'delivered_at',
    'opened': 'first_opened_at',
    'clicked': 'first_clicked_at',
    'replied': 'first_replied_at',
    'bounced': 'first_bounced_at',
    'complained': 'first_complained_at',
    'unsubscribed': 'first_unsubscribed_at',
} %}

with refresh as (
    select * from {{ ref('stg_refresh') }}
),

sends as (
    select
        s.*,
        {{ local_date('s.handed_over_at', 'w.timezone') }} as sent_on
    from {{ ref('int_sends') }} as s
    cross join refresh as w
    where s.was_sent
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
    where not is_holdout
),

conversions as (
    select * from {{ ref('int_enrollment_conversions') }}
    where is_latest_entry and not is_holdout
),

-- A message counts once per kind of reaction, at the first one: repeated opens add nothing.
reactions as (
    {% for metric, moment in moments.items() %}
        select
            'event_time' as counted_by,
            s.sequence_id,
            {{ local_date('s.' ~ moment, 'w.timezone') }} as metric_on,
            '{{ metric }}' as metric,
            count(*) as amount
        from sends as s
        cross join refresh as w
        where s.{{ moment }} is not null
        group by s.sequence_id, {{ local_date('s.' ~ moment, 'w.timezone') }}
        union all
        select
            'send_cohort' as counted_by,
            sequence_id,
            sent_on as metric_on,
            '{{ metric }}' as metric,
            count({{ moment }}) as amount
        from sends
        group by sequence_id, sent_on
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

starts as (
    select
        'event_time' as counted_by,
        sequence_id,
        enrolled_on as metric_on,
        'enrolled' as metric,
        count(*) as amount
    from enrollments
    group by sequence_id, enrolled_on
),

-- `completed` and `exited`; what ended as converted counts by the conversion itself.
ends as (
    select
        'event_time' as counted_by,
        sequence_id,
        {{ local_date('ended_at', 'timezone') }} as metric_on,
        status as metric,
        count(*) as amount
    from enrollments
    where status in ('completed', 'exited')
    group by sequence_id, {{ local_date('ended_at', 'timezone') }}, status
),

-- The last message before it has the conversion (R26): one without any stands under event time only.
wins as (
    select
        e.sequence_id,
        {{ local_date('e.converted_at', 'e.timezone') }} as converted_on,
        s.sent_on,
        count(*) as amount
    from enrollments as e
    left join sends as s on e.credited_send_id = s.send_id
    where e.was_converted
    group by e.sequence_id, {{ local_date('e.converted_at', 'e.timezone') }}, s.sent_on
),

money as (
    select
        c.sequence_id,
        {{ local_date('c.converted_at', 'e.timezone') }} as converted_on,
        s.sent_on,
        sum(c.revenue) as amount,
        count(*) filter (where not c.has_rate) as count_without_rate
    from conversions as c
    inner join enrollments as e on c.enrollment_id = e.enrollment_id
    left join sends as s on e.credited_send_id = s.send_id
    group by c.sequence_id, {{ local_date('c.converted_at', 'e.timezone') }}, s.sent_on
),

happened as (
    select * from reactions
    union all
    select * from starts
    union all
    select * from ends
    union all
    select 'event_time', sequence_id, converted_on, 'converted', amount from wins
    union all
    select 'send_cohort', sequence_id, sent_on, 'converted', amount from wins
    where sent_on is not null
    union all
    select 'event_time', sequence_id, converted_on, 'without_rate', count_without_rate from money
    union all
    select 'send_cohort', sequence_id, sent_on, 'without_rate', count_without_rate from money
    where sent_on is not null
),

-- A day on which nothing happened is one of zeros, by either way of counting, not one that is missing.
spans as (
    select
        h.sequence_id,
        min(h.metric_on) as first_on,
        greatest(max(h.metric_on), w.refreshed_on) as last_on
    from happened as h
    cross join refresh as w
    group by h.sequence_id, w.refreshed_on
),

calendar as (
    select
        sequence_id,
        {{ days_from('first_on', 'last_on') }} as metric_on
    from spans
),

counts as (
    select * from happened
    union all
    select 'event_time', sequence_id, metric_on, 'sent', 0 from calendar
    union all
    select 'send_cohort', sequence_id, metric_on, 'sent', 0 from calendar
),

revenues as (
    select
        'event_time' as counted_by,
        sequence_id,
        converted_on as metric_on,
        sum(amount) as revenue
    from money
    group by sequence_id, converted_on
    union all
    select
        'send_cohort' as counted_by,
        sequence_id,
        sent_on as metric_on,
        sum(amount) as revenue
    from money
    where sent_on is not null
    group by sequence_id, sent_on
),

counted as (
    select
        counted_by,
        sequence_id,
        metric_on,
        {% for metric in ['enrolled', 'completed', 'exited'] %}
            case
                when counted_by = 'event_time'
                    then cast(coalesce(sum(amount) filter (where metric = '{{ metric }}'), 0) as bigint)
            end as count_{{ metric }},
        {% endfor %}
        {% for metric in moments %}
            cast(coalesce(sum(amount) filter (where metric = '{{ metric }}'), 0) as bigint) as count_{{ metric }},
        {% endfor %}
        cast(coalesce(sum(amount) filter (where metric = 'converted'), 0) as bigint) as count_converted,
        cast(coalesce(sum(amount) filter (where metric = 'without_rate'), 0) as bigint)
            as count_conversions_without_rate
    from counts
    group by counted_by, sequence_id, metric_on
),

final as (
    select
        c.sequence_id,
        c.metric_on,
        c.counted_by,
        c.count_enrolled,
        c.count_completed,
        c.count_exited,
        {% for metric in moments %}
            c.count_{{ metric }},
        {% endfor %}
        c.count_converted,
        cast(coalesce(r.revenue, 0) as decimal(18, 4)) as revenue,
        c.count_conversions_without_rate,
        case
            when c.counted_by = 'event_time' then c.metric_on < w.refreshed_on
            else {{ add_days('c.metric_on', 7) }} < w.refreshed_on
        end as is_complete
    from counted as c
    cross join refresh as w
    left join revenues as r
        on
            c.counted_by = r.counted_by
            and c.sequence_id = r.sequence_id
            and c.metric_on = r.metric_on
)

select * from final
