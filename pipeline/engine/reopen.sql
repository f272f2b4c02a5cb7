-- Opens the step of a send again that did not go out (R9), where nothing after it was settled. In: temp table
-- `reopening` (enrollment_id, step_ix, send_id, attempts, zone). It is due at once, and claimed anew with the same send.

update live set
    step_ix = r.step_ix,
    status = 'waiting',
    due_at = $now,
    slot_at = $now,
    anchor_at = $now,
    zone = r.zone,
    arm = null,
    send_id = r.send_id,
    attempts = r.attempts
from reopening as r
where live.enrollment_id = r.enrollment_id;
