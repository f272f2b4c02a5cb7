-- The funnel's messages are the spine's messages.
with funnel as (
    select
        sum(count_sent) as count_sent,
        sum(count_converted) as count_converted
    from {{ ref('funnel_steps') }}
),

sends as (
    select
        count(*) filter (where was_sent) as count_sent,
        count(*) filter (where was_converted) as count_converted
    from {{ ref('sends') }}
)

select
    s.count_sent,
    f.count_sent as count_sent_in_funnel,
    s.count_converted,
    f.count_converted as count_converted_in_funnel
from sends as s
cross join funnel as f
where
    s.count_sent <> coalesce(f.count_sent, 0)
    or s.count_converted <> coalesce(f.count_converted, 0)
