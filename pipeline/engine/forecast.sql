-- What a forecast has rehearsed, by day of the workspace. In: temp table `forecast_day` (day, from_at, to_at), and the
-- last rows of both appended tables before the rehearsal.
-- Out: temp tables `forecast_messages` (day, sequence_id, sender, channel, messages) and `forecast_decisions` (day,
-- sequence_id, outcome, reason, steps, waiting).

create or replace temp table forecast_messages as
select
    d.day,
    v.sequence_id,
    s.sender,
    s.channel,
    count(*) as messages
from send_outcomes as o
inner join forecast_day as d on o.settled_at >= d.from_at and o.settled_at < d.to_at
inner join sends as s on o.send_id = s.send_id
inner join sequence_versions as v on s.version_id = v.version_id
where o.rowid > $last_outcome and o.status = 'handed_over'
group by all;

-- A step may be put off many times on one day: it counts once, and it waits if its last word that day was to wait.
create or replace temp table forecast_decisions as
with decisions as (
    select
        d.day,
        v.sequence_id,
        w.enrollment_id,
        w.step_ix,
        w.outcome,
        w.reason,
        w.outcome = 'postponed' and row_number() over (
            partition by d.day, w.enrollment_id, w.step_ix
            order by w.planned_at desc, w.outcome = 'postponed'
        ) = 1 as is_waiting
    from why as w
    inner join forecast_day as d on w.planned_at >= d.from_at and w.planned_at < d.to_at
    inner join sequence_versions as v on w.version_id = v.version_id
    where w.rowid > $last_why
)

select
    day,
    sequence_id,
    outcome,
    reason,
    count(distinct row(enrollment_id, step_ix)) as steps,
    count(*) filter (where is_waiting) as waiting
from decisions
where outcome in ('postponed', 'skipped', 'held_out')
group by all;
