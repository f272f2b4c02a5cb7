-- One row per calendar day, from the first fact to the day of the facts.
with leads as (
    select min(created_at) as first_at from {{ ref('int_leads') }}
),

enrollments as (
    select min(enrolled_at) as first_at from {{ ref('int_enrollments') }}
),

sends as (
    select min(handed_over_at) as first_at from {{ ref('int_sends') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

span as (
    select
        w.refreshed_on as last_on,
        coalesce(
            {{ local_date('least(l.first_at, e.first_at, s.first_at)', 'w.timezone') }}, w.refreshed_on
        ) as first_on
    from refresh as w
    cross join leads as l
    cross join enrollments as e
    cross join sends as s
),

final as (
    select {{ days_from('first_on', 'last_on') }} as day_on
    from span
)

select * from final
