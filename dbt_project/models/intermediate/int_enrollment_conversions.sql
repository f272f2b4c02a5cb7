-- One row per enrollment and conversion of its lead with its goal.
with enrollments as (
    select * from {{ ref('stg_enrollments') }}
),

versions as (
    select * from {{ ref('stg_sequence_versions') }}
),

conversions as (
    select * from {{ ref('int_conversions') }}
),

goals as (
    select
        e.enrollment_id,
        e.lead_id,
        e.sequence_id,
        e.is_holdout,
        e.enrolled_at,
        v.goal_name,
        {{ add_seconds('e.enrolled_at', 'v.goal_within_seconds') }} as goal_until_at
    from enrollments as e
    left join versions as v on e.version_id = v.version_id
),

-- Conversions belong to the lead (R16): each enrollment with that goal sees them.
seen as (
    select
        g.enrollment_id,
        c.conversion_id,
        g.lead_id,
        g.sequence_id,
        g.is_holdout,
        g.enrolled_at,
        c.converted_at,
        c.revenue,
        c.has_rate,
        c.is_reversed,
        c.converted_at < g.enrolled_at as is_before_enrollment,
        c.converted_at >= g.enrolled_at and coalesce(c.converted_at <= g.goal_until_at, true) as is_in_time
    from goals as g
    inner join conversions as c
        on g.lead_id = c.lead_id and coalesce(g.goal_name = c.goal_name, g.goal_name is null)
),

-- Of several entries into one sequence the latest has the money, so that sums over a sequence hold it once.
final as (
    select
        enrollment_id,
        conversion_id,
        lead_id,
        sequence_id,
        is_holdout,
        converted_at,
        revenue,
        has_rate,
        is_reversed,
        is_before_enrollment,
        is_in_time,
        is_in_time
        and row_number() over (
            partition by conversion_id, sequence_id, is_holdout, is_in_time
            order by enrolled_at desc, enrollment_id desc
        ) = 1 as is_latest_entry
    from seen
)

select * from final
