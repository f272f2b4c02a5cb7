-- What becomes of each due message: window (R3, R4), lateness, condition (R5), arm (R13), suppression (R20), address,
-- limits (R10), ghost or claim. Later checks see only the survivors of earlier ones.

create or replace temp table candidates as
select
    due.*,
    greatest(w.open_at, due.slot_at) as true_slot_at,
    z.now_opens_at,
    case
        when z.now_opens_at > due.now_at then 'window'
        when due.status = 'retry' then null
        when
            due.late_then = 'skip'
            and due.now_at > greatest(w.open_at, due.slot_at) + to_seconds(due.late_seconds)
            then 'late'
        when not (/*step_when*/ true) then 'condition'
        when due.is_absent then 'experiment'
    end as stopped_by
from due
asof left join open_window as w
    on due.window_id = w.window_id and due.zone = w.zone and due.slot_at < w.close_at
left join zone_now as z on due.window_id = z.window_id and due.zone = z.zone
where due.channel is not null;

create or replace temp table drawing as
select
    c.enrollment_id,
    c.lead_id,
    c.version_id,
    c.step_ix,
    c.experiment_id,
    c.varies,
    c.control,
    c.sample_share,
    c.is_auto,
    c.is_holdout,
    c.has_holdout_arm,
    c.holdout,
    c.now_at as drawn_at
from candidates as c
where c.stopped_by is null and c.status = 'waiting' and c.send_id is null and c.varies = 'content';
