-- The funnel's messages are the spine's messages, and who is lost at its steps is lost where enrollments end.
with funnel as (
    select
        coalesce(sum(count_sent), 0) as count_sent,
        coalesce(sum(count_converted), 0) as count_converted,
        coalesce(sum(count_dropped), 0) as count_dropped
    from {{ ref('funnel_steps') }}
),

sends as (
    select
        count(*) filter (where was_sent) as count_sent,
        count(*) filter (where was_converted) as count_converted
    from {{ ref('sends') }}
),

-- Who is lost before any step is at none of the funnel.
endings as (
    select coalesce(sum(count_enrollments), 0) as count_dropped
    from {{ ref('step_endings') }}
    where is_dropped and step_ix >= 0
)

select
    s.count_sent,
    f.count_sent as count_sent_in_funnel,
    s.count_converted,
    f.count_converted as count_converted_in_funnel,
    e.count_dropped,
    f.count_dropped as count_dropped_in_funnel
from sends as s
cross join funnel as f
cross join endings as e
where
    s.count_sent <> f.count_sent
    or s.count_converted <> f.count_converted
    or e.count_dropped <> f.count_dropped
