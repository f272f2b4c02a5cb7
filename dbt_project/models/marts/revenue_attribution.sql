-- One row per model of attribution, goal, sequence, step and channel; one per held-out sequence and goal.
with credits as (
    select * from {{ ref('int_credits') }}
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
    where origin = 'live' and time_zero_at is not null
),

enrollment_conversions as (
    select * from {{ ref('int_enrollment_conversions') }}
),

versions as (
    select * from {{ ref('stg_sequence_versions') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

attributed as (
    select
        model,
        goal_name,
        sequence_id,
        step_id,
        channel,
        sum(share) as conversions,
        sum(share) filter (where not has_rate) as conversions_without_rate,
        sum(revenue) as revenue
    from credits
    group by model, goal_name, sequence_id, step_id, channel
),

-- Time zero is the first hand-over or the ghost (R12); a lead counts once, with its first entry.
entries as (
    select
        e.enrollment_id,
        e.sequence_id,
        v.goal_name,
        e.is_holdout,
        e.time_zero_at,
        {{ add_seconds('e.time_zero_at', 'coalesce(v.goal_within_seconds, 30 * 86400)') }} as window_until_at,
        row_number() over (partition by e.sequence_id, e.lead_id order by e.time_zero_at, e.enrollment_id) as entry
    from enrollments as e
    left join versions as v on e.version_id = v.version_id
),

outcomes as (
    select
        e.sequence_id,
        e.goal_name,
        e.is_holdout,
        e.enrollment_id,
        cast(count(c.conversion_id) > 0 as integer) as conversions,
        count(c.conversion_id) filter (where not c.has_rate) as conversions_without_rate,
        cast(coalesce(sum(c.revenue), 0) as double) as revenue
    from entries as e
    cross join refresh as w
    left join enrollment_conversions as c
        on
            e.enrollment_id = c.enrollment_id
            and e.time_zero_at <= c.converted_at
            and e.window_until_at >= c.converted_at
    where e.entry = 1 and e.window_until_at <= w.refreshed_at
    group by e.sequence_id, e.goal_name, e.is_holdout, e.enrollment_id
),

groups as (
    select
        sequence_id,
        goal_name,
        is_holdout,
        count(*) as n,
        sum(conversions) as events,
        sum(conversions_without_rate) as conversions_without_rate,
        avg(conversions) as conversion_mean,
        var_pop(conversions) / count(*) as conversion_variance,
        avg(revenue) as revenue_mean,
        var_pop(revenue) / count(*) as revenue_variance
    from outcomes
    group by sequence_id, goal_name, is_holdout
),

-- What the contacted have more than they would have had; the plain 95 % interval from 100 leads, 10 of whom converted
-- and 10 did not, in either group.
lifts as (
    select
        t.sequence_id,
        t.goal_name,
        t.n as count_leads,
        h.n as count_held_out,
        t.conversions_without_rate,
        t.n * (t.conversion_mean - h.conversion_mean) as conversions,
        t.n * (t.revenue_mean - h.revenue_mean) as revenue,
        case
            when least(t.n, h.n) >= 100 and least(t.events, h.events, t.n - t.events, h.n - h.events) >= 10
                then 1.959964 * t.n
        end as spread,
        sqrt(t.conversion_variance + h.conversion_variance) as conversion_error,
        sqrt(t.revenue_variance + h.revenue_variance) as revenue_error
    from groups as t
    inner join groups as h
        on
            t.sequence_id = h.sequence_id
            and t.goal_name is not distinct from h.goal_name
            and not t.is_holdout
            and h.is_holdout
),

final as (
    select
        a.model,
        a.model = w.attribution as is_default,
        false as is_causal,
        a.goal_name,
        a.sequence_id,
        a.step_id,
        a.channel,
        a.conversions,
        coalesce(a.conversions_without_rate, 0) as conversions_without_rate,
        cast(coalesce(a.revenue, 0) as decimal(18, 4)) as revenue,
        cast(null as double) as conversions_low,
        cast(null as double) as conversions_high,
        cast(null as double) as revenue_low,
        cast(null as double) as revenue_high,
        cast(null as bigint) as count_leads,
        cast(null as bigint) as count_held_out
    from attributed as a
    cross join refresh as w
    union all
    select
        'holdout' as model,
        false as is_default,
        true as is_causal,
        goal_name,
        sequence_id,
        null as step_id,
        null as channel,
        conversions,
        cast(conversions_without_rate as double) as conversions_without_rate,
        cast(revenue as decimal(18, 4)) as revenue,
        conversions - spread * conversion_error as conversions_low,
        conversions + spread * conversion_error as conversions_high,
        revenue - spread * revenue_error as revenue_low,
        revenue + spread * revenue_error as revenue_high,
        count_leads,
        count_held_out
    from lifts
)

select * from final
