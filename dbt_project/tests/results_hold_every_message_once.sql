-- Each way of grouping holds every message, all that messages have a part in, and the same cost.
with groups as (
    select
        kind,
        sum(count_sent) as count_sent,
        sum(revenue) as revenue,
        sum(cost) as cost
    from {{ ref('message_results') }}
    where kind in ('channel', 'sender', 'template', 'sequence', 'step')
    group by kind
),

sends as (
    select
        count(*) as count_sent,
        coalesce(sum(cost), 0) as cost,
        coalesce(sum(attributed_revenue), 0) as revenue
    from {{ ref('sends') }}
    where was_sent
),

credits as (
    select coalesce(sum(revenue), 0) as revenue
    from {{ ref('revenue_attribution') }}
    where is_default and sequence_id is not null
)

select
    g.*,
    s.count_sent as count_sent_in_all,
    s.cost as cost_in_all,
    c.revenue as revenue_in_all
from groups as g
cross join sends as s
cross join credits as c
where
    g.count_sent <> s.count_sent
    or g.revenue <> c.revenue
    or s.revenue <> c.revenue
    or g.cost <> s.cost
