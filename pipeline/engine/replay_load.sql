-- What a replay knows of the past. In: the attached ledger `past`. Out: temp tables of what comes when (`coming_…`), of what
-- was answered and said (`own_…`, `echo`), and of how often the past ticked (`recorded_tick`).

-- One row per lead: its first enrollment here, if that fell into the time that is asked about.
create or replace temp table replay_entry as
with first_entries as (
    select
        enrollment_id,
        lead_id,
        enrolled_at
    from past.enrollments
    where sequence_id = $replayed and origin = 'live'
    qualify row_number() over (partition by lead_id order by enrolled_at, enrollment_id) = 1
)

select *
from first_entries
where enrolled_at >= $since and enrolled_at < $until;

create or replace temp table own_send as
select
    d.send_id,
    d.lead_id,
    t.step_id,
    d.claimed_at
from past.sends as d
semi join replay_entry as e on d.enrollment_id = e.enrollment_id
inner join past.steps as t on d.version_id = t.version_id and d.step_ix = t.step_ix;

create or replace temp table own_outcome as
select
    o.send_id,
    o.attempt,
    max_by(o.status, o.settled_at) as status,
    arg_max_null(o.reason, o.settled_at) as reason,
    max(o.settled_at) as settled_at
from past.send_outcomes as o
semi join own_send as d on o.send_id = d.send_id
group by o.send_id, o.attempt;

create or replace temp table own_last as
select
    send_id,
    max_by(status, (attempt, settled_at)) as status,
    arg_max_null(reason, (attempt, settled_at)) as reason
from own_outcome
group by send_id;

-- When a message went out: a call that was asked for again did so more than once, by the same send.
create or replace temp table own_call as
select
    send_id,
    row_number() over (partition by send_id order by attempt) as call_no,
    settled_at as sent_at
from own_outcome
where status in ('handed_over', 'unknown');

-- By rule, a lead that was never in the sequence is known from its last change on, with what is known of it since then.
create or replace temp table coming_lead as
select
    l.lead_id,
    coalesce(e.enrolled_at, l.updated_at) as moment
from past.leads as l
left join replay_entry as e on l.lead_id = e.lead_id
where
    e.lead_id is not null
    or (
        $by_rule
        and l.origin = 'live'
        and l.updated_at >= $since
        and l.updated_at < $until
        and l.lead_id not in (select o.lead_id from past.enrollments as o where o.sequence_id = $replayed)
    );

create or replace temp table heard as
with answered as (
    select
        e.event_id,
        -- Clocks differ: what happened before its message is about the first one.
        coalesce(max(c.call_no) filter (where c.sent_at <= e.occurred_at), 1) as call_no
    from past.events as e
    inner join own_call as c on e.send_id = c.send_id
    group by e.event_id
)

select
    e.*,
    d.step_id as own_step_id,
    o.call_no as own_call_no,
    o.sent_at as own_sent_at,
    coalesce(e.send_id is null and e.enrollment_id in (select enrollment_id from replay_entry), false) as is_own
from past.events as e
semi join coming_lead as l on e.lead_id = l.lead_id
left join own_send as d on e.send_id = d.send_id
left join answered as a on e.event_id = a.event_id
left join own_call as o on e.send_id = o.send_id and a.call_no = o.call_no
where e.origin = 'live' and e.received_at < $until;

-- What other sequences' messages brought keeps its distance: negative numbers are nobody's here.
create or replace temp table coming_event as
select
    * exclude (own_step_id, own_call_no, own_sent_at) replace (
        -send_id as send_id,
        -enrollment_id as enrollment_id
    ),
    received_at as moment
from heard
where own_sent_at is null;

-- Reactions to messages of this sequence come as long after the message as they did.
create or replace temp table echo as
select
    * exclude (is_own, own_sent_at),
    occurred_at - own_sent_at as occurred_after,
    received_at - own_sent_at as received_after,
    callback_at - own_sent_at as called_after
from heard
where own_sent_at is not null;

create or replace temp table coming_suppression as
select
    s.lead_id,
    s.channel,
    s.sequence_id,
    s.reason,
    s.created_at,
    e.event_id,
    s.created_at as moment
from past.suppressions as s
semi join coming_lead as l on s.lead_id = l.lead_id
left join (
    select
        lead_id,
        kind,
        occurred_at,
        min(event_id) as event_id
    from heard
    group by all
) as e on s.lead_id = e.lead_id and s.reason = e.kind and s.created_at = e.occurred_at;

create or replace temp table coming_look as
select
    *,
    applied_at as moment
from past.looks
where applied_at is not null;

-- Messages of other enrollments stand as they were, so that common limits count them.
create or replace temp table coming_send as
select
    d.* replace (-d.send_id as send_id, -d.enrollment_id as enrollment_id, -d.version_id as version_id),
    d.claimed_at as moment
from past.sends as d
anti join own_send as o on d.send_id = o.send_id
where d.origin = 'live' and d.claimed_at < $until;

insert into sequence_versions by name
select v.* replace (-v.version_id as version_id, 'past ' || v.version as version)
from past.sequence_versions as v;

-- A tick that takes something in is always recorded: what came before it and after the one before had to wait for it.
create or replace temp table recorded_tick as
with ticks as (
    select distinct started_at as moment
    from past.jobs
    where job = 'tick'
),

waits as (
    select
        claimed_at as moment,
        slot_at as waited_from
    from past.sends
    where origin = 'live'

    union all

    select
        t.moment,
        e.received_at as waited_from
    from past.events as e
    asof inner join ticks as t on e.received_at <= t.moment
    where e.origin = 'live'
)

select
    t.moment,
    min(w.waited_from) as waited_from
from ticks as t
left join waits as w on t.moment = w.moment
where t.moment < $until
group by t.moment;
