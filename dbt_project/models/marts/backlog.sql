-- One row per sequence that ever enrolled somebody: what waits now.
with enrollments as (
    select * from {{ ref('int_enrollments') }}
),

live as (
    select * from {{ ref('stg_live_enrollments') }}
),

pauses as (
    select * from {{ ref('stg_pauses') }}
    where resumed_at is null
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

stopped as (
    select bool_or(scope = 'everything') as is_everything_paused from pauses
),

paused_sequences as (
    select distinct name as sequence_id from pauses
    where scope = 'sequence'
),

sequences as (
    select distinct sequence_id from enrollments
),

running as (
    select
        e.sequence_id,
        e.is_holdout,
        l.status,
        l.slot_at,
        l.is_paused or p.sequence_id is not null or coalesce(t.is_everything_paused, false) as is_paused,
        w.refreshed_at
    from enrollments as e
    inner join live as l on e.enrollment_id = l.enrollment_id
    left join paused_sequences as p on e.sequence_id = p.sequence_id
    cross join stopped as t
    cross join refresh as w
    where e.status in ('active', 'paused')
),

waiting as (
    select
        *,
        not is_paused and status in ('waiting', 'retry') and slot_at <= refreshed_at as is_due,
        not is_paused and status in ('waiting', 'retry') and slot_at > refreshed_at as is_scheduled
    from running
),

counted as (
    select
        sequence_id,
        count(*) filter (where not is_holdout) as count_active,
        count(*) filter (where not is_holdout and is_paused) as count_paused,
        count(*) filter (where is_holdout) as count_held_out,
        count(*) filter (where not is_holdout and status = 'in_flight') as count_in_flight,
        count(*) filter (where is_due) as count_due,
        count(*) filter (where is_due and status = 'retry') as count_retry_due,
        count(*) filter (where is_scheduled) as count_scheduled,
        count(*) filter (where is_scheduled and slot_at <= {{ add_seconds('refreshed_at', 3600) }})
            as count_scheduled_next_hour,
        count(*) filter (where is_scheduled and slot_at <= {{ add_seconds('refreshed_at', 86400) }})
            as count_scheduled_next_day,
        max({{ seconds_between('slot_at', 'refreshed_at') }}) filter (where is_due) as oldest_due_seconds,
        min(slot_at) filter (where is_scheduled) as next_slot_at
    from waiting
    group by sequence_id
),

final as (
    select
        s.sequence_id,
        coalesce(c.count_active, 0) as count_active,
        coalesce(c.count_paused, 0) as count_paused,
        coalesce(c.count_held_out, 0) as count_held_out,
        coalesce(c.count_in_flight, 0) as count_in_flight,
        coalesce(c.count_due, 0) as count_due,
        coalesce(c.count_retry_due, 0) as count_retry_due,
        coalesce(c.count_scheduled, 0) as count_scheduled,
        coalesce(c.count_scheduled_next_hour, 0) as count_scheduled_next_hour,
        coalesce(c.count_scheduled_next_day, 0) as count_scheduled_next_day,
        cast(c.oldest_due_seconds as bigint) as oldest_due_seconds,
        c.next_slot_at
    from sequences as s
    left join counted as c on s.sequence_id = c.sequence_id
)

select * from final
