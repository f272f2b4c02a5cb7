-- Branches, waits and ends take no time of their own (R1): they are settled as soon as they are due, again and again until none is left.
-- Where their own condition does not hold, the flow goes on behind them (R5).

create or replace temp table moving as
with judged as (
    select
        due.*,
        /*step_when*/ true as holds,
        /*branch_target*/ null as target_ix
    from due
    left join known on due.enrollment_id = known.known_id
    left join history on due.enrollment_id = history.enrollment_id
    where due.channel is null
)

select
    enrollment_id,
    lead_id,
    version_id,
    step_ix,
    enrolled_at,
    is_holdout,
    is_paused,
    is_ended,
    sent_mask,
    opened_mask,
    clicked_mask,
    has_replied,
    has_converted,
    count_sends,
    due_at as settled_at,
    case
        when not holds or kind = 'wait' then following_ix
        when kind = 'branch' then target_ix
        else -1
    end as next_ix,
    case when kind = 'end' then 'completed' end as end_status,
    case when kind = 'end' and holds then judged.end_status end as end_reason
from judged;

delete from live
using moving as m
where live.enrollment_id = m.enrollment_id;
