-- What becomes of each due message: window (R3, R4), lateness, condition (R5), arm (R13), suppression (R20), address,
-- limits (R10), ghost or claim. Later checks see only the survivors of earlier ones.

create or replace temp table candidates as
select
    due.* exclude (late_seconds, late_then, end_status, max_attempts, is_absent),
    greatest(w.open_at, due.slot_at) as true_slot_at,
    w.now_opens_at,
    w.local_on,
    case
        when w.now_opens_at > due.now_at then 'window'
        when due.status = 'retry' then null
        when
            due.late_then = 'skip'
            and due.now_at > greatest(w.open_at, due.slot_at) + to_seconds(due.late_seconds)
            then 'late'
        when not (/*step_when*/ true) then 'condition'
        when due.is_absent then 'experiment'
    end as stopped_by
from due
left join known on due.enrollment_id = known.known_id
left join history on due.enrollment_id = history.enrollment_id
inner join slot_window as w
    on
        due.window_id = w.window_id
        and due.zone = w.zone
        and epoch_us(due.slot_at) // 86400000000 = w.day_no
        and due.slot_at >= w.after_at
        and due.slot_at < w.close_at
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
