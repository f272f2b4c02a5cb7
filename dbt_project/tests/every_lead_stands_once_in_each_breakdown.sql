-- Whatever trait they are told apart by, all leads are there, with all their money.
with breakdowns as (
    select
        trait,
        sum(count_leads) as count_leads,
        sum(revenue) as revenue
    from {{ ref('recipient_breakdowns') }}
    group by trait
),

leads as (
    select
        count(*) as count_leads,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('leads') }}
)

select
    b.trait,
    b.count_leads,
    l.count_leads as count_leads_in_all,
    b.revenue,
    l.revenue as revenue_in_all
from breakdowns as b
cross join leads as l
where b.count_leads <> l.count_leads or b.revenue <> l.revenue
