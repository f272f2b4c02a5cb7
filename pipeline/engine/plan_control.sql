-- Branches, waits and ends take no time of their own (R1): they are settled as soon as they are due, again and again until none is left.
-- Where their own condition does not hold, the flow goes on behind them (R5).

create or replace temp table moving as
select
    due.enrollment_id,
    due.lead_id,
    due.version_id,
    due.step_ix,
    due.enrolled_at,
    due.is_holdout,
    due.is_paused,
    due.is_ended,
    due.sent_mask,
    due.opened_mask,
    due.clicked_mask,
    due.has_replied,
    due.has_converted,
    due.count_sends,
    due.due_at as settled_at,
    case
        when not (/*step_when*/ true) then due.following_ix
        when due.kind = 'wait' then due.following_ix
        when due.kind = 'branch' then /*branch_target*/ null
        else -1
    end as next_ix,
    case when due.kind = 'end' then 'completed' end as end_status,
    case when due.kind = 'end' and (/*step_when*/ true) then due.end_status end as end_reason
-- Conditions name the lead's fields; only those that one of them names are read.
from due
left join (
    select
        d.enrollment_id as known_id,
        l.source as lead_source,
        l.country as lead_country,
        l.timezone as lead_timezone,
        l.created_at as lead_created_at,
        l.attributes as lead_attributes
    from due as d
    inner join leads as l on d.lead_id = l.lead_id
) as known
    on due.enrollment_id = known.known_id
where due.channel is null;

delete from live
using moving as m
where live.enrollment_id = m.enrollment_id;
