-- Settles waits for an event (R1). In: `due`, relation `wait_step`. Out: temp table `moving` with those that are through;
-- the others stay in `live` until their time-out.

create or replace temp table waiting as
select
    d.enrollment_id,
    d.lead_id,
    d.enrolled_at,
    d.anchor_at,
    d.due_at,
    d.now_at,
    d.following_ix,
    w.event,
    w.name,
    w.event_step_ix,
    w.url_like,
    w.on_timeout
from due as d
inner join wait_step as w on d.version_id = w.version_id and d.step_ix = w.step_ix;

-- Opens and clicks count once they could be judged (R5). What is threaded to a message acts on its enrollment, what is
-- known by address only on all (R20), unless one message is meant.
create or replace temp table fulfilled as
select
    w.enrollment_id,
    min(e.occurred_at) as occurred_at
from waiting as w
inner join placed_events as e on w.lead_id = e.lead_id
where
    (e.kind = w.event or (w.event = 'opened' and e.kind = 'clicked'))
    and (w.name is null or e.name = w.name)
    and (w.url_like is null or e.url like w.url_like escape '!')
    and (
        e.enrollment_id = w.enrollment_id
        or (w.event_step_ix is null and (e.enrollment_id is null or e.kind = 'converted'))
    )
    and (w.event_step_ix is null or e.step_ix = w.event_step_ix)
    and e.occurred_at >= w.enrolled_at
    and e.occurred_at <= w.due_at
    and e.origin = 'live'
    and if(
        e.kind in ('opened', 'clicked'),
        e.verdict = 'human' and e.received_at <= w.now_at - to_seconds(10),
        e.verdict != 'machine'
    )
group by w.enrollment_id;

create or replace temp table moving as
select
    v.*,
    greatest(coalesce(f.occurred_at, w.due_at), w.anchor_at) as settled_at,
    case when f.occurred_at is null and w.on_timeout = 'exit' then -1 else w.following_ix end as next_ix,
    case when f.occurred_at is null and w.on_timeout = 'exit' then 'exited' else 'completed' end as end_status,
    case when f.occurred_at is null and w.on_timeout = 'exit' then 'timeout' end as end_reason
from waiting as w
inner join live as v on w.enrollment_id = v.enrollment_id
left join fulfilled as f on w.enrollment_id = f.enrollment_id
where f.occurred_at is not null or w.due_at <= w.now_at;

delete from live
using moving as m
where live.enrollment_id = m.enrollment_id;

update live set slot_at = live.due_at
from waiting as w
where live.enrollment_id = w.enrollment_id;
