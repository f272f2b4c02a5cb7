-- Who reached a stage in the broad funnel is who did so on the spines; money of a sequence stands there once.
with stages as (
    select * from {{ ref('funnel_stages') }}
),

expected as (
    select
        cast(null as varchar) as sequence_id,
        count(*) as count_leads,
        count(first_contacted_at) as count_contacted,
        count(responded_at) as count_responded,
        count(converted_at) as count_converted,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('leads') }}
    having count(*) > 0
    union all
    select
        sequence_id,
        count(distinct lead_id) as count_leads,
        count(distinct lead_id) filter (where was_contacted) as count_contacted,
        null as count_responded,
        count(distinct lead_id) filter (where was_converted) as count_converted,
        null as revenue
    from {{ ref('enrollments') }}
    where not is_holdout
    group by sequence_id
),

found as (
    select
        sequence_id,
        max(count_leads) as count_leads,
        max(count_reached) filter (where stage = 'contacted') as count_contacted,
        max(count_reached) filter (where stage = 'responded') as count_responded,
        max(count_reached) filter (where stage = 'converted') as count_converted,
        max(revenue) filter (where stage = 'leads') as revenue
    from stages
    group by sequence_id
)

select
    coalesce(f.sequence_id, e.sequence_id) as sequence_id,
    f.count_leads,
    e.count_leads as count_leads_expected,
    f.count_contacted,
    e.count_contacted as count_contacted_expected,
    f.count_responded,
    e.count_responded as count_responded_expected,
    f.count_converted,
    e.count_converted as count_converted_expected,
    f.revenue,
    e.revenue as revenue_expected
from found as f
full outer join expected as e on coalesce(f.sequence_id, '') = coalesce(e.sequence_id, '')
where
    f.count_leads is distinct from e.count_leads
    or f.count_contacted is distinct from e.count_contacted
    or f.count_responded <> coalesce(e.count_responded, f.count_responded)
    or f.count_converted is distinct from e.count_converted
    or f.revenue <> coalesce(e.revenue, f.revenue)
