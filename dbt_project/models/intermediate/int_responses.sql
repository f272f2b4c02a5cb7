-- One row per response and enrollment for which it counts; one row with neither where it counts for none.
with responses as (
    select * from {{ ref('stg_events') }}
    where
        verdict = 'human'
        and kind in ('replied', 'meeting_booked', 'call_answered', 'callback_requested')
),

enrollments as (
    select * from {{ ref('stg_enrollments') }}
),

ends as (
    select * from {{ ref('stg_enrollment_ends') }}
),

spans as (
    select
        e.enrollment_id,
        e.lead_id,
        e.enrolled_at,
        d.ended_at,
        lead(e.enrolled_at) over (partition by e.lead_id order by e.enrolled_at, e.enrollment_id) as next_enrolled_at
    from enrollments as e
    left join ends as d on e.enrollment_id = d.enrollment_id
),

-- One known only by its address counts for the enrollments that were running, and for the lead's latest one.
by_address as (
    select
        r.event_id,
        s.enrollment_id
    from responses as r
    inner join spans as s
        on
            r.lead_id = s.lead_id
            and r.occurred_at >= s.enrolled_at
            and (
                s.ended_at is null or r.occurred_at <= s.ended_at
                or s.next_enrolled_at is null or r.occurred_at < s.next_enrolled_at
            )
    where r.enrollment_id is null
),

final as (
    select
        r.event_id as response_id,
        r.kind,
        r.lead_id,
        coalesce(r.enrollment_id, b.enrollment_id) as enrollment_id,
        r.send_id,
        r.occurred_at as responded_at
    from responses as r
    left join by_address as b on r.event_id = b.event_id
)

select * from final
