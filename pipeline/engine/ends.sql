-- Ends running enrollments. In: temp table `ending` (enrollment_id, status, reason). Those that have ended are left alone.

insert into enrollment_ends
select
    e.enrollment_id,
    $now,
    e.status,
    e.reason
from ending as e
inner join live as v on e.enrollment_id = v.enrollment_id
where not v.is_ended;

-- An attempt that will not come any more leaves nothing in flight.
insert into send_outcomes
select
    v.send_id,
    $now,
    'withdrawn',
    'ended',
    v.attempts,
    null,
    null
from live as v
semi join ending as e on v.enrollment_id = e.enrollment_id
where v.status = 'retry';

-- A claim may be in the dispatcher's hands: its row leaves when the send is settled.
update live set is_ended = true
from ending as e
where live.enrollment_id = e.enrollment_id and live.status = 'in_flight';

delete from live
using ending as e
where live.enrollment_id = e.enrollment_id and live.status != 'in_flight';
