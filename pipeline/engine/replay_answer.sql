-- Answers to the chunk: as the provider answered the same step of the same lead; else taken at once. What people did with
-- such a message is put down to come again as long after it.

create or replace temp table asked as
select
    c.send_id,
    c.attempt,
    d.lead_id,
    d.enrollment_id,
    d.step_ix,
    t.step_id,
    p.send_id as own_send_id,
    1 + (
        select count(distinct o.attempt)
        from send_outcomes as o
        where o.send_id = c.send_id and o.status in ('handed_over', 'unknown')
    ) as call_no,
    coalesce(p.claimed_at = d.claimed_at, false) as is_same_claim
from chunk as c
inner join sends as d on c.send_id = d.send_id
inner join steps as t on d.version_id = t.version_id and d.step_ix = t.step_ix
left join own_send as p on d.lead_id = p.lead_id and t.step_id = p.step_id;

create or replace temp table answers as
select
    a.send_id,
    case
        when a.is_same_claim then coalesce(o.status, 'handed_over')
        when l.status in ('refused', 'unknown') then l.status
        else 'handed_over'
    end as status,
    case when a.is_same_claim then coalesce(o.settled_at, $now) else $now end as settled_at,
    a.attempt,
    case
        when a.is_same_claim then o.reason
        when l.status in ('refused', 'unknown') then l.reason
    end as reason,
    null::varchar as message_id
from asked as a
left join own_outcome as o on a.own_send_id = o.send_id and a.attempt = o.attempt
left join own_last as l on a.own_send_id = l.send_id;

insert into coming_event by name
select
    e.* exclude (own_step_id, own_call_no, occurred_after, received_after, called_after) replace (
        a.send_id as send_id,
        a.enrollment_id as enrollment_id,
        a.step_ix as step_ix,
        r.settled_at + e.occurred_after as occurred_at,
        r.settled_at + e.received_after as received_at,
        r.settled_at + e.called_after as callback_at
    ),
    r.settled_at + e.received_after as moment,
    false as is_own
from answers as r
inner join asked as a on r.send_id = a.send_id
inner join echo as e on a.lead_id = e.lead_id and a.step_id = e.own_step_id and a.call_no = e.own_call_no
where r.status in ('handed_over', 'unknown');

delete from echo
using answers as r, asked as a
where
    r.send_id = a.send_id
    and r.status in ('handed_over', 'unknown')
    and echo.lead_id = a.lead_id
    and echo.own_step_id = a.step_id
    and echo.own_call_no = a.call_no;
