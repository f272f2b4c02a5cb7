-- A lead wants to be called again at a moment: its last call becomes due then, with the same send (once each, and only
-- where nothing after it was decided). In: temp tables `new_events`, relation `step`. It counts as a contact anew.

create or replace temp table calling_back as
with asked as (
    select
        v.enrollment_id,
        v.version_id,
        -- The first request holds; nobody can ask for a moment before it.
        min_by(greatest(e.callback_at, e.occurred_at), (e.occurred_at, e.callback_at)) as due_at
    from new_events as e
    inner join live as v
        on e.lead_id = v.lead_id and (e.enrollment_id is null or e.enrollment_id = v.enrollment_id)
    where
        e.kind = 'callback_requested'
        and e.callback_at is not null
        and e.verdict != 'machine'
        and e.occurred_at >= v.enrolled_at
        and not v.is_ended
        and v.send_id is null
    group by v.enrollment_id, v.version_id
),

calls as (
    select
        d.enrollment_id,
        d.send_id,
        any_value(a.due_at) as due_at,
        any_value(d.step_ix) as step_ix,
        any_value(d.zone) as zone,
        max(o.attempt) as attempts,
        count(distinct o.attempt) filter (where o.status in ('handed_over', 'unknown')) as count_calls
    from sends as d
    -- A call of a version that the enrollment has left since is over.
    inner join asked as a on d.enrollment_id = a.enrollment_id and d.version_id = a.version_id
    inner join step as s on d.version_id = s.version_id and d.step_ix = s.step_ix
    inner join send_outcomes as o on d.send_id = o.send_id
    where s.kind = 'call' and d.channel = 'call'
    group by d.enrollment_id, d.send_id
)

select c.*
from calls as c
where
    c.count_calls = 1
    and not exists (
        from why as w
        where
            w.enrollment_id = c.enrollment_id
            and w.step_ix > c.step_ix
            and w.outcome != 'postponed'
    );

update live set
    step_ix = c.step_ix,
    status = 'waiting',
    due_at = c.due_at,
    slot_at = c.due_at,
    anchor_at = $now,
    zone = c.zone,
    arm = null,
    send_id = c.send_id,
    attempts = c.attempts
from calling_back as c
where live.enrollment_id = c.enrollment_id;
