-- One row per sequence, week of enrollment and week since enrollment, up to 26 weeks.
with enrollments as (
    select * from {{ ref('int_enrollments') }}
    where not is_holdout
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

weeks as (
    {{ integers(25, 'weeks_since') }}
),

members as (
    select
        sequence_id,
        {{ week_of('enrolled_on') }} as cohort_week,
        case
            when was_converted
                then cast(floor({{ seconds_between('enrolled_at', 'converted_at') }} / (7 * 86400)) as bigint)
        end as converted_in_week
    from enrollments
),

spans as (
    select
        m.sequence_id,
        min(m.cohort_week) as first_week,
        {{ week_of('w.refreshed_on') }} as last_week
    from members as m
    cross join refresh as w
    group by m.sequence_id, w.refreshed_on
),

-- A week in which nobody entered is a cohort of none, not one that is missing.
calendar as (
    select
        sequence_id,
        {{ weeks_from('first_week', 'greatest(first_week, last_week)') }} as cohort_week
    from spans
),

cohorts as (
    select
        c.sequence_id,
        c.cohort_week,
        count(m.cohort_week) as count_enrolled
    from calendar as c
    left join members as m on c.sequence_id = m.sequence_id and c.cohort_week = m.cohort_week
    group by c.sequence_id, c.cohort_week
),

new_conversions as (
    select
        sequence_id,
        cohort_week,
        converted_in_week,
        count(*) as count_converted
    from members
    where converted_in_week is not null
    group by sequence_id, cohort_week, converted_in_week
),

-- A cohort has a row for every week that has begun for its first member.
grid as (
    select
        c.sequence_id,
        c.cohort_week,
        cast(k.weeks_since as bigint) as weeks_since,
        c.count_enrolled,
        -- The last member of a week joins on its Sunday: complete when that member was observed as long.
        {{ add_days('c.cohort_week', '7 * (k.weeks_since + 2)') }} <= w.refreshed_on as is_mature
    from cohorts as c
    cross join weeks as k
    cross join refresh as w
    where {{ add_days('c.cohort_week', '7 * k.weeks_since') }} <= w.refreshed_on
),

cumulated as (
    select
        g.sequence_id,
        g.cohort_week,
        g.weeks_since,
        g.count_enrolled,
        cast(
            sum(coalesce(n.count_converted, 0)) over (
                partition by g.sequence_id, g.cohort_week
                order by g.weeks_since
                rows between unbounded preceding and current row
            ) as bigint
        ) as count_converted,
        g.is_mature
    from grid as g
    left join new_conversions as n
        on
            g.sequence_id = n.sequence_id
            and g.cohort_week = n.cohort_week
            and g.weeks_since = n.converted_in_week
),

final as (
    select
        sequence_id,
        cohort_week,
        weeks_since,
        count_enrolled,
        count_converted,
        {{ rate('count_converted', 'count_enrolled') }} as conversion_rate_per_enrolled,
        is_mature
    from cumulated
)

select * from final
