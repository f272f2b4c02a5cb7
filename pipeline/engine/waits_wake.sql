-- Wakes the waits of whoever something new happened to: the planner looks at a row whose slot has come. The slot goes back
-- to the start of the enrollment, so that any pause since moves it to the moment of the resumption at the latest.

create or replace temp table woken as
select v.enrollment_id
from live as v
inner join wait_step as w on v.version_id = w.version_id and v.step_ix = w.step_ix
inner join new_events as e on v.lead_id = e.lead_id
where e.kind = w.event
union
select v.enrollment_id
from live as v
inner join wait_step as w on v.version_id = w.version_id and v.step_ix = w.step_ix
inner join judged as j
    on v.lead_id = j.lead_id and (j.enrollment_id is null or v.enrollment_id = j.enrollment_id)
where j.kind = w.event or (w.event = 'opened' and j.kind = 'clicked');

update live set slot_at = live.enrolled_at
from woken as k
where live.enrollment_id = k.enrollment_id;
