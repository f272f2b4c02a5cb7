-- One row per step and way in which enrollments stand or ended there.
with planned_steps as (
    select * from {{ ref('int_planned_steps') }}
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
    where not is_holdout
),

-- Steps are numbered in the order of the file, and nobody goes back.
ranked as (
    select
        *,
        row_number() over (partition by enrollment_id order by step_ix desc) as place
    from planned_steps
),

last_steps as (
    select * from ranked
    where place = 1
),

placed as (
    select
        e.sequence_id,
        e.version,
        cast(coalesce(l.step_ix, -1) as bigint) as step_ix,
        coalesce(l.step_id, '(before the first)') as step_id,
        l.variant,
        l.channel,
        case
            when e.was_converted then 'converted'
            when e.ended_at is null then e.status
            when e.was_replied then 'replied'
            when e.status = 'completed' and e.end_reason is null then 'completed'
            else coalesce(e.end_reason, e.status)
        end as ended_as,
        e.ended_at is not null
        and not e.was_converted
        and not e.was_replied
        and e.status = 'exited' as is_dropped
    from enrollments as e
    left join last_steps as l on e.enrollment_id = l.enrollment_id
),

final as (
    select
        sequence_id,
        version,
        step_ix,
        step_id,
        variant,
        channel,
        ended_as,
        is_dropped,
        count(*) as count_enrollments
    from placed
    group by sequence_id, version, step_ix, step_id, variant, channel, ended_as, is_dropped
)

select * from final
