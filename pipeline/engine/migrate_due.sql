-- Due times of those who have moved, in `live` by now (R6, R19). What would have been due before the migration is due at
-- once, which makes nobody late; whose due time is the same keeps the slot.

update live set due_at = live.due_at + b.span
from moved_by as b
where live.enrollment_id = b.enrollment_id;

update live set due_at = greatest(live.due_at, least(m.due_at, $now))
from movers as m
where live.enrollment_id = m.enrollment_id and live.due_at < $now;

update live set slot_at = case when live.due_at = m.due_at then greatest(m.slot_at, live.due_at) else live.due_at end
from movers as m, step as s
where
    live.enrollment_id = m.enrollment_id
    and live.version_id = s.version_id
    and live.step_ix = s.step_ix
    and s.kind != 'wait_for';

-- Whoever is drawn by a test of the new version is in it from now on, not from when the step before was settled.
update assignments set assigned_at = $now
from assigned as a
where
    a.reason in ('hash', 'winner')
    and assignments.enrollment_id = a.enrollment_id
    and assignments.experiment_id = a.experiment_id;

-- The hour that was drawn for the open step holds while its due time does (R3); else it is drawn for anew.
delete from hour_draws
using movers as m
where
    hour_draws.enrollment_id = m.enrollment_id
    and hour_draws.version_id = $version_id
    and hour_draws.step_ix = m.new_ix;

insert into hour_draws by name
select d.* replace ($version_id::bigint as version_id, m.new_ix as step_ix) -- noqa: AM04
from hour_draws as d
inner join movers as m on d.enrollment_id = m.enrollment_id and d.version_id = m.version_id and d.step_ix = m.step_ix
inner join live as v on m.enrollment_id = v.enrollment_id and m.due_at = v.due_at;
