-- One row per step and way in which enrollments stand or ended there.
with last_steps as (
    select * from {{ ref('int_planned_steps') }}
    where is_last
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
    where not is_holdout
),

placed as (
    select
        e.sequence_id,
        e.version,
        cast(coalesce(l.step_ix, -1) as bigint) as step_ix,
        coalesce(l.step_id, '(before the first)') as step_id,
        l.variant,
        l.channel,
        e.ended_as,
        e.is_dropped
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
