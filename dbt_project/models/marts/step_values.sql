-- One row per sequence, step that sent something, and horizon of 30, 90 or 365 days.
with sends as (
    select * from {{ ref('int_sends') }}
    where was_sent and {{ is_contact('channel') }}
),

enrollments as (
    select * from {{ ref('int_enrollments') }}
    where credited_send_id is not null
),

conversions as (
    select * from {{ ref('int_conversions') }}
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

horizons as (
    select *
    from (values (30), (90), (365)) as t (horizon_days)
),

observed as (
    select
        s.send_id,
        s.sequence_id,
        s.step_id,
        s.lead_id,
        h.horizon_days,
        s.handed_over_at,
        {{ add_seconds('s.handed_over_at', 'h.horizon_days * 86400') }} as until_at,
        {{ add_seconds('s.handed_over_at', 'h.horizon_days * 86400') }} <= w.refreshed_at as is_mature,
        e.converted_at
    from sends as s
    cross join horizons as h
    cross join refresh as w
    left join enrollments as e on s.send_id = e.credited_send_id
),

-- Everything that a lead buys from the message on, by whatever goal, when it converted at this step.
values_of_leads as (
    select
        o.send_id,
        o.horizon_days,
        sum(c.revenue) as revenue,
        count(*) filter (where not c.has_rate) as count_without_rate
    from observed as o
    inner join conversions as c
        on o.lead_id = c.lead_id and o.handed_over_at <= c.converted_at and o.until_at >= c.converted_at
    where o.is_mature and o.converted_at <= o.until_at
    group by o.send_id, o.horizon_days
),

counted as (
    select
        o.sequence_id,
        o.step_id,
        o.horizon_days,
        count(*) filter (where o.is_mature) as count_matured,
        count(*) filter (where not o.is_mature) as count_immature,
        count(*) filter (where o.is_mature and o.converted_at <= o.until_at) as count_converted,
        coalesce(sum(v.revenue), 0) as revenue,
        coalesce(sum(v.count_without_rate), 0) as count_conversions_without_rate
    from observed as o
    left join values_of_leads as v on o.send_id = v.send_id and o.horizon_days = v.horizon_days
    group by o.sequence_id, o.step_id, o.horizon_days
),

final as (
    select
        sequence_id,
        step_id,
        cast(horizon_days as bigint) as horizon_days,
        count_matured,
        count_immature,
        count_immature = 0 as is_mature,
        count_converted,
        cast(revenue as decimal(18, 4)) as revenue,
        cast(count_conversions_without_rate as bigint) as count_conversions_without_rate,
        {{ rate('count_converted', 'count_matured') }} as conversion_rate_per_matured,
        {{ rate('revenue', 'count_converted') }} as revenue_per_converted,
        {{ rate('revenue', 'count_matured') }} as revenue_per_matured
    from counted
)

select * from final
