-- In: temp table `due`, relation `step`. A lead that was claimed for its step before is no ghost there afterwards.

update due
set is_ghost = true
from step as s
where
    due.version_id = s.version_id
    and due.step_ix = s.step_ix
    and s.step_holdout > 0
    and due.status = 'waiting'
    and due.send_id is null
    and ('0x' || md5($salt || ':step_holdout:' || s.holdout_key || ':' || due.lead_id)[:13])::bigint
    / 4503599627370496.0 < s.step_holdout;
