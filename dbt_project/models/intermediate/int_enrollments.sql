-- One row per enrollment, held-out ones included.
with enrollments as (
    select * from {{ ref('stg_enrollments') }}
),

ends as (
    select * from {{ ref('stg_enrollment_ends') }}
),

running as (
    select * from {{ ref('stg_live_enrollments') }}
),

versions as (
    select * from {{ ref('stg_sequence_versions') }}
),

sends as (
    select * from {{ ref('int_sends') }}
    where was_sent
),

enrollment_conversions as (
    select * from {{ ref('int_enrollment_conversions') }}
),

plans as (
    select * from {{ ref('stg_plans') }}
    where outcome = 'held_out'
),

responses as (
    select * from {{ ref('int_responses') }}
    where enrollment_id is not null
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

spans as (
    select
        e.*,
        v.version,
        d.ended_at,
        d.reason as end_reason,
        coalesce(d.status, case when r.is_paused then 'paused' else 'active' end) as status
    from enrollments as e
    left join versions as v on e.version_id = v.version_id
    left join ends as d on e.enrollment_id = d.enrollment_id
    left join running as r on e.enrollment_id = r.enrollment_id
),

contacts as (
    select
        enrollment_id,
        count(*) as count_sends,
        min(handed_over_at) as first_handed_over_at
    from sends
    group by enrollment_id
),

ghosts as (
    select
        enrollment_id,
        min(planned_at) as first_held_out_at
    from plans
    group by enrollment_id
),

answers as (
    select
        enrollment_id,
        bool_or(kind = 'replied') as was_replied,
        max(responded_at) as last_responded_at
    from responses
    group by enrollment_id
),

-- Conversions belong to the lead (R16): each enrollment with that goal sees them.
outcomes as (
    select
        enrollment_id,
        min(converted_at) filter (where not is_before_enrollment) as converted_at,
        max(converted_at) filter (where is_before_enrollment) as won_before_at,
        max(converted_at) filter (where is_in_time) as last_converted_at,
        count(*) filter (where is_in_time) as count_conversions,
        sum(revenue) filter (where is_in_time) as revenue
    from enrollment_conversions
    group by enrollment_id
),

-- R26: the last handed-over send of the enrollment before its conversion.
credited as (
    select
        s.enrollment_id,
        max_by(s.send_id, (s.handed_over_at, s.send_id)) as credited_send_id
    from sends as s
    inner join outcomes as o on s.enrollment_id = o.enrollment_id
    where o.count_conversions > 0 and s.handed_over_at <= o.converted_at
    group by s.enrollment_id
),

judged as (
    select
        s.enrollment_id,
        s.lead_id,
        s.sequence_id,
        s.version_id,
        s.version,
        s.entry_no,
        s.enrolled_at,
        {{ local_date('s.enrolled_at', 'w.timezone') }} as enrolled_on,
        s.status,
        s.end_reason,
        s.ended_at,
        s.is_holdout,
        s.origin,
        least(c.first_handed_over_at, g.first_held_out_at) as time_zero_at,
        coalesce(c.count_sends, 0) as count_sends,
        c.enrollment_id is not null as was_contacted,
        c.first_handed_over_at as first_contacted_at,
        a.last_responded_at,
        o.last_converted_at,
        coalesce(a.was_replied, false) as was_replied,
        coalesce(o.count_conversions > 0, false) as was_converted,
        coalesce(o.converted_at, o.won_before_at) as converted_at,
        o.converted_at is null and o.won_before_at is not null as was_won_before_contact,
        case when coalesce(o.count_conversions, 0) = 0 then 0 else o.revenue end as revenue,
        k.credited_send_id,
        w.timezone,
        w.refreshed_at
    from spans as s
    cross join refresh as w
    left join contacts as c on s.enrollment_id = c.enrollment_id
    left join ghosts as g on s.enrollment_id = g.enrollment_id
    left join answers as a on s.enrollment_id = a.enrollment_id
    left join outcomes as o on s.enrollment_id = o.enrollment_id
    left join credited as k on s.enrollment_id = k.enrollment_id
),

final as (
    select
        *,
        case
            when was_converted then 'converted'
            when ended_at is null then status
            when was_replied then 'replied'
            when status = 'completed' and end_reason is null then 'completed'
            else coalesce(end_reason, status)
        end as ended_as,
        ended_at is not null and status = 'exited' and not was_converted and not was_replied as is_dropped
    from judged
)

select * from final
