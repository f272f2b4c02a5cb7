-- One row per conversion event.
with events as (
    select * from {{ ref('stg_events') }}
    where kind in ('converted', 'conversion_reversed')
),

refresh as (
    select * from {{ ref('stg_refresh') }}
),

rates as (
    select * from {{ ref('stg_rates') }}
),

conversions as (
    select
        event_id as conversion_id,
        lead_id,
        send_id as named_send_id,
        name as goal_name,
        occurred_at as converted_at,
        value,
        currency,
        origin
    from events
    where kind = 'converted'
),

reversals as (
    select
        event_id as reversal_id,
        lead_id,
        name as goal_name,
        occurred_at as reversed_at,
        value
    from events
    where kind = 'conversion_reversed'
),

-- A reversal names no conversion: it takes back the latest earlier one of the same value, else the latest earlier one.
matched_reversals as (
    select
        c.conversion_id,
        r.reversed_at,
        coalesce(r.value, c.value, 0) as value
    from reversals as r
    inner join conversions as c
        on
            r.lead_id = c.lead_id
            and r.goal_name is not distinct from c.goal_name
            and r.reversed_at >= c.converted_at
    qualify
        row_number() over (
            partition by r.reversal_id
            order by (r.value is not distinct from c.value) desc, c.converted_at desc, c.conversion_id desc
        ) = 1
),

reversed_conversions as (
    select
        conversion_id,
        min(reversed_at) as reversed_at,
        sum(value) as value
    from matched_reversals
    group by conversion_id
),

-- The workspace's own currency is worth itself; another has the rate of the conversion's date (R17).
rated as (
    select
        c.conversion_id,
        case when coalesce(c.currency = w.currency, true) then 1 else x.rate end as rate
    from conversions as c
    cross join refresh as w
    left join rates as x
        on
            c.currency = x.currency
            and {{ local_date('c.converted_at', 'w.timezone') }} >= x.since
            and ({{ local_date('c.converted_at', 'w.timezone') }} < x.until or x.until is null)
),

valued as (
    select
        c.conversion_id,
        c.lead_id,
        c.named_send_id,
        c.goal_name,
        c.converted_at,
        c.value,
        c.currency,
        c.origin,
        r.conversion_id is not null as is_reversed,
        r.reversed_at,
        x.rate is not null as has_rate,
        -- Sums over mixed currencies do not exist (R17).
        cast(
            round(cast(coalesce(c.value, 0) - coalesce(r.value, 0) as decimal(18, 4)) * x.rate, 4) as decimal(18, 4)
        ) as revenue
    from conversions as c
    inner join rated as x on c.conversion_id = x.conversion_id
    left join reversed_conversions as r on c.conversion_id = r.conversion_id
)

select * from valued
