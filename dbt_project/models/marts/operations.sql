-- One row per sequence and hour in which the engine did something.
with steps as (
    select
        *,
        {{ hour_of('decided_at') }} as hour_at
    from {{ ref('int_planned_steps') }}
    where decided_at is not null and outcome not in ('postponed', 'in_flight')
),

sends as (
    select * from {{ ref('int_sends') }}
    where origin = 'live'
),

-- The last word on an attempt holds; a claim that was taken back was none.
attempts as (
    select
        send_id,
        attempt,
        max_by(status, settled_at) as status,
        min(settled_at) as attempted_at
    from {{ ref('stg_attempts') }}
    group by send_id, attempt
    having max_by(status, settled_at) <> 'withdrawn'
),

processed as (
    select
        sequence_id,
        hour_at,
        count(*) as count_steps,
        count(*) filter (where outcome = 'sent') as count_sent,
        count(*) filter (where outcome = 'skipped') as count_skipped,
        count(*) filter (where outcome = 'held_out') as count_held_out,
        count(*) filter (where outcome = 'refused') as count_refused,
        count(*) filter (where outcome = 'unknown') as count_unknown
    from steps
    group by sequence_id, hour_at
),

attempted as (
    select
        s.sequence_id,
        {{ hour_of('a.attempted_at') }} as hour_at,
        count(*) as count_attempts,
        count(*) filter (where a.status in ('retry', 'refused')) as count_failed_attempts
    from attempts as a
    inner join sends as s on a.send_id = s.send_id
    group by s.sequence_id, {{ hour_of('a.attempted_at') }}
),

late as (
    select
        sequence_id,
        {{ hour_of('handed_over_at') }} as hour_at,
        count(*) as count_handed_over,
        {{ percentile('late_seconds', 0.5) }} as late_seconds_p50,
        {{ percentile('late_seconds', 0.95) }} as late_seconds_p95,
        {{ percentile('late_seconds', 0.99) }} as late_seconds_p99,
        max(late_seconds) as late_seconds_max
    from sends
    where was_sent
    group by sequence_id, {{ hour_of('handed_over_at') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

busy_hours as (
    select sequence_id, hour_at from processed
    union
    select sequence_id, hour_at from attempted
    union
    select sequence_id, hour_at from late
),

-- A silent hour is one with zeros, not one that is missing.
recent as (
    select
        b.sequence_id,
        w.refreshed_at,
        greatest(min(b.hour_at), {{ hour_of(add_seconds('w.refreshed_at', -28 * 86400)) }}) as first_at
    from busy_hours as b
    cross join refresh as w
    group by b.sequence_id, w.refreshed_at
),

hours as (
    select sequence_id, hour_at from busy_hours
    union
    select
        sequence_id,
        {{ hours_from('first_at', hour_of('refreshed_at')) }} as hour_at
    from recent
),

final as (
    select
        h.sequence_id,
        h.hour_at,
        {{ local_date('h.hour_at', 'w.timezone') }} as worked_on,
        coalesce(p.count_steps, 0) as count_steps,
        coalesce(p.count_sent, 0) as count_sent,
        coalesce(p.count_skipped, 0) as count_skipped,
        coalesce(p.count_held_out, 0) as count_held_out,
        coalesce(p.count_refused, 0) as count_refused,
        coalesce(p.count_unknown, 0) as count_unknown,
        coalesce(a.count_attempts, 0) as count_attempts,
        coalesce(a.count_failed_attempts, 0) as count_failed_attempts,
        {{ rate('a.count_failed_attempts', 'a.count_attempts') }} as failure_rate_per_attempt,
        coalesce(l.count_handed_over, 0) as count_handed_over,
        l.late_seconds_p50,
        l.late_seconds_p95,
        l.late_seconds_p99,
        l.late_seconds_max
    from hours as h
    cross join refresh as w
    left join processed as p on h.sequence_id = p.sequence_id and h.hour_at = p.hour_at
    left join attempted as a on h.sequence_id = a.sequence_id and h.hour_at = a.hour_at
    left join late as l on h.sequence_id = l.sequence_id and h.hour_at = l.hour_at
)

select * from final
