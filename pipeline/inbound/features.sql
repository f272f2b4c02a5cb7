-- Features of the new opens and clicks, and of the last hour's around them: a burst may arrive in two pieces.
create or replace temp table features as
with fresh as (
    select
        event_id, coalesce(send_id, -lead_id) as unit_id, send_id, kind, occurred_at, url, agent, source, origin,
        lead_id, enrollment_id, step_ix, received_at, null as verdict
    from ingest_placed
    where kind in ('opened', 'clicked', 'delivered')
),

units as (
    select unit_id, min(received_at) - interval 1 hour as since_at from fresh group by unit_id
),

-- The hour before a unit's own news, whatever else came in beside it.
recent as (
    select
        e.event_id, u.unit_id, e.send_id, e.kind, e.occurred_at, e.url, e.agent, e.source, e.origin, e.lead_id,
        e.enrollment_id, e.step_ix, e.received_at, e.verdict
    from events as e
    inner join units as u on coalesce(e.send_id, -e.lead_id) = u.unit_id and e.received_at >= u.since_at
    where
        e.kind in ('opened', 'clicked', 'delivered')
        and e.received_at >= (select min(received_at) - interval 1 hour from fresh)
),

around as (
    select * from fresh semi join units using (unit_id)
    union all
    select * from recent
),

handed_over as (
    select o.send_id, min(o.settled_at) as handed_over_at
    from send_outcomes as o
    where o.status = 'handed_over' and o.send_id in (select unit_id from units where unit_id > 0)
    group by o.send_id
),

delivered as (
    select unit_id, min(occurred_at) as delivered_at from around where kind = 'delivered' group by unit_id
)

select a.*, h.handed_over_at, d.delivered_at
from around as a
left join handed_over as h on a.unit_id = h.send_id
left join delivered as d on a.unit_id = d.unit_id
where a.kind <> 'delivered';
