-- What has come until now goes into the private ledger, as ingest would have put it there. Out: `new_events`, and the rows.

create or replace temp table arriving_lead as
select lead_id
from coming_lead
where moment <= $now;

insert into leads by name
select l.* replace ('live' as origin, $change_no as change_no)
from past.leads as l
semi join arriving_lead as a on l.lead_id = a.lead_id;

insert into identities by name
select i.*
from past.identities as i
semi join arriving_lead as a on i.lead_id = a.lead_id;

delete from coming_lead
where moment <= $now;

create or replace temp table new_events as
select
    e.* exclude (moment, is_own) replace (if(e.is_own, n.enrollment_id, e.enrollment_id) as enrollment_id)
from coming_event as e
left join enrollments as n on e.lead_id = n.lead_id
where e.moment <= $now;

delete from coming_event
where moment <= $now;

insert into events by name
select *
from new_events;

insert into engagement_pending by name
select
    event_id,
    lead_id,
    enrollment_id,
    step_ix,
    kind,
    received_at
from new_events
where kind in ('opened', 'clicked') and verdict = 'human';

-- A suppression comes with the event that caused it; one without an event, at its own moment.
create or replace temp table arriving_suppression as
select
    s.* replace (coalesce(e.occurred_at, s.created_at) as created_at)
from coming_suppression as s
left join new_events as e on s.event_id = e.event_id
where e.event_id is not null or (s.event_id is null and s.moment <= $now);

insert into suppressions by name
select
    lead_id,
    channel,
    sequence_id,
    reason,
    created_at
from arriving_suppression;

create or replace temp table new_blocks as
select
    lead_id,
    min(created_at) as blocked_at
from arriving_suppression
where reason = 'do_not_contact' and channel is null and sequence_id is null
group by lead_id;

delete from coming_suppression
where event_id in (select event_id from new_events) or (event_id is null and moment <= $now);

update suppressions set lifted_at = p.lifted_at
from past.suppressions as p
where
    suppressions.lead_id = p.lead_id
    and suppressions.channel is not distinct from p.channel
    and suppressions.reason = p.reason
    and suppressions.lifted_at is null
    and suppressions.created_at < p.lifted_at
    and p.lifted_at <= $now;

insert into looks by name
select * exclude (moment)
from coming_look
where moment <= $now;

delete from coming_look
where moment <= $now;

insert into sends by name
select * exclude (moment)
from coming_send
where moment <= $now;

delete from coming_send
where moment <= $now;
