-- One row per conversion.
with conversions as (
    select * from {{ ref('int_conversions') }}
),

enrollment_conversions as (
    select * from {{ ref('int_enrollment_conversions') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

seen as (
    select
        conversion_id,
        count(*) filter (where is_in_time and not is_holdout) as count_enrollments,
        count(distinct sequence_id) filter (where is_in_time and not is_holdout) as count_sequences,
        bool_or(is_in_time and is_holdout) as is_of_holdout,
        bool_or(not is_before_enrollment and not is_in_time) as is_late,
        bool_and(is_before_enrollment) as is_before_enrollment
    from enrollment_conversions
    group by conversion_id
),

final as (
    select
        c.conversion_id,
        c.lead_id,
        c.goal_name,
        c.converted_at,
        {{ local_date('c.converted_at', 'w.timezone') }} as converted_on,
        c.origin,
        cast(c.value as decimal(18, 4)) as value,
        coalesce(c.currency, w.currency) as currency,
        c.is_reversed,
        c.reversed_at,
        c.has_rate,
        c.revenue,
        coalesce(s.count_enrollments, 0) as count_enrollments,
        coalesce(s.count_sequences, 0) as count_sequences,
        coalesce(s.is_of_holdout, false) as is_of_holdout,
        coalesce(s.is_late, false) and coalesce(s.count_enrollments, 0) = 0 as is_late,
        coalesce(s.is_before_enrollment, false) as is_before_enrollment
    from conversions as c
    cross join refresh as w
    left join seen as s on c.conversion_id = s.conversion_id
)

select * from final
