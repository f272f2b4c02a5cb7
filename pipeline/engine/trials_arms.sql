-- In: temp tables `due`, `arm_range`. Whoever has no arm, or one outside the test, keeps the step as it is.

update due
set
    channel = coalesce(r.channel, due.channel),
    sender = coalesce(r.sender, due.sender),
    window_id = coalesce(r.window_id, due.window_id),
    is_absent = not r.is_present
from arm_range as r
where
    due.version_id = r.version_id
    and due.step_ix = r.step_ix
    and due.arm = r.arm
    and due.varies in ('channel', 'send_time', 'presence');
