-- By each of the five models the parts of a conversion are the conversion, and its money is its money.
with conversions as (
    select * from {{ ref('conversions') }}
),

credits as (
    select
        conversion_id,
        model,
        sum(share) as share,
        sum(revenue) as revenue
    from {{ ref('int_credits') }}
    group by conversion_id, model
),

models as (
    select
        model,
        sum(conversions) as conversions,
        sum(revenue) as revenue
    from {{ ref('revenue_attribution') }}
    where not is_causal
    group by model
),

observed as (
    select
        count(*) as conversions,
        coalesce(sum(revenue), 0) as revenue
    from conversions
)

select
    c.conversion_id,
    k.model,
    c.revenue,
    k.revenue as revenue_credited
from conversions as c
left join credits as k on c.conversion_id = k.conversion_id
where k.model is null or abs(k.share - 1) > 1e-9 or k.revenue is distinct from c.revenue
union all
select
    null as conversion_id,
    m.model,
    o.revenue,
    m.revenue as revenue_credited
from observed as o
cross join models as m
where abs(m.conversions - o.conversions) > 1e-6 * (o.conversions + 1) or m.revenue <> o.revenue
