-- What becomes of each due message, all checks and limits passed or not. In: `reachable`, `postponed_by_limits`.
-- A ghost waits in the same queue as the others, so that its moment is like theirs (R12).

create or replace temp table verdicts as
select
    r.* exclude (stopped_by),
    case
        when r.stopped_by in ('window', 'preferred_hours') or p.reason is not null then 'postponed'
        when r.stopped_by is not null then 'skipped'
        when r.is_ghost then 'held_out'
        else 'claimed'
    end as outcome,
    case
        when r.stopped_by is not null then r.stopped_by
        when p.reason is not null then p.reason
        when r.is_holdout then 'holdout'
        when r.is_ghost then 'step_holdout'
    end as reason,
    case when r.stopped_by in ('window', 'preferred_hours') then r.now_opens_at else p.until_at end as until_at,
    a.arm as content_arm
from reachable as r
left join postponed_by_limits as p on r.enrollment_id = p.enrollment_id
left join assigned as a on r.enrollment_id = a.enrollment_id;
