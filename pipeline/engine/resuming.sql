-- Pauses that end by themselves (R6): as if somebody had resumed them at that very moment, whenever the tick comes.

create or replace temp table resuming as
select
    p.enrollment_id,
    p.paused_at,
    p.resumes_at
from enrollment_pauses as p
inner join live as v on p.enrollment_id = v.enrollment_id
where p.resumed_at is null and p.resumes_at <= $now and v.is_paused and not v.is_ended;

update live set
    is_paused = false,
    due_at = live.due_at + (r.resumes_at - r.paused_at),
    slot_at = live.slot_at + (r.resumes_at - r.paused_at),
from resuming as r
where live.enrollment_id = r.enrollment_id;

update enrollment_pauses set resumed_at = r.resumes_at,
from resuming as r
where enrollment_pauses.enrollment_id = r.enrollment_id and enrollment_pauses.resumed_at is null;

-- Whoever has ended meanwhile never resumes.
update enrollment_pauses set resumes_at = null
where resumed_at is null and resumes_at <= $now;
