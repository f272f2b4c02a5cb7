-- What events do to running enrollments (react, R5, R16, R20). In: temp tables `new_events` and
-- `new_blocks` of this ingest.

create or replace temp table reacting as
select
    v.enrollment_id,
    e.kind,
    e.name,
    e.occurred_at,
    coalesce(r.reaction, 'continue') as reaction,
    r.resume_seconds
from new_events as e
inner join live as v
    on
        e.lead_id = v.lead_id
        -- What is threaded to a message acts on its enrollment, what is known by address only on all (R20).
        and (e.enrollment_id is null or e.kind = 'converted' or e.enrollment_id = v.enrollment_id)
inner join sequence_versions as q on v.version_id = q.version_id
left join reaction as r on q.sequence_id = r.sequence_id and e.kind = r.kind
where
    (e.kind in ('replied', 'converted') or r.reaction is not null)
    and e.verdict != 'machine'
    and e.occurred_at >= v.enrolled_at
    and (e.kind != 'converted' or e.name = q.goal_name)
    and not v.is_ended
union all by name
-- Who may not be contacted any more leaves everything at once.
select
    v.enrollment_id,
    'do_not_contact' as kind,
    null as name,
    greatest(b.blocked_at, v.enrolled_at) as occurred_at,
    'stop' as reaction,
    null as resume_seconds
from new_blocks as b
inner join live as v on b.lead_id = v.lead_id
where not v.is_ended;

update live set
    has_replied = live.has_replied or f.has_replied,
    has_converted = live.has_converted or f.has_converted,
from (
    select
        enrollment_id,
        bool_or(kind = 'replied') as has_replied,
        bool_or(kind = 'converted') as has_converted,
    from reacting
    group by enrollment_id
) as f
where live.enrollment_id = f.enrollment_id;

create or replace temp table stopping as
select
    enrollment_id,
    min(occurred_at) as occurred_at,
    -- At one instant a conversion comes first.
    min_by(kind, (occurred_at, kind != 'converted', kind)) as kind,
    min_by(name, (occurred_at, kind != 'converted', kind)) as name,
from reacting
where reaction = 'stop'
group by enrollment_id;

insert into enrollment_ends
select
    enrollment_id,
    occurred_at,
    case kind when 'converted' then 'converted' else 'exited' end,
    case kind when 'converted' then name else kind end,
from stopping;

-- A claim may be in the dispatcher's hands: its row leaves when the send is settled.
update live set is_ended = true,
from stopping as s
where live.enrollment_id = s.enrollment_id and live.status = 'in_flight';

-- An attempt that will not come any more leaves nothing in flight.
insert into send_outcomes
select
    v.send_id,
    $now,
    'withdrawn',
    'ended',
    v.attempts,
    null,
    null,
from live as v
semi join stopping as s on v.enrollment_id = s.enrollment_id
where v.status = 'retry';

delete from live
using stopping as s
where live.enrollment_id = s.enrollment_id and live.status != 'in_flight';

create or replace temp table pausing as
select
    p.enrollment_id,
    min(p.occurred_at) as occurred_at,
    min_by(p.kind, (p.occurred_at, p.kind != 'converted', p.kind)) as kind,
    -- It ends by itself when the last of its reasons does; one that waits for a person makes it wait for a person.
    case
        when bool_and(p.resume_seconds is not null) then max(p.occurred_at + to_seconds(p.resume_seconds))
    end as resumes_at,
    any_value(v.is_paused) as was_paused,
from reacting as p
inner join live as v on p.enrollment_id = v.enrollment_id
where p.reaction = 'pause' and not v.is_ended
group by p.enrollment_id;

-- Told late, it begins where the last pause ended: no time is given back twice.
insert into enrollment_pauses by name
with ended as (
    select
        g.enrollment_id,
        max(e.resumed_at) as resumed_at,
    from pausing as g
    inner join enrollment_pauses as e on g.enrollment_id = e.enrollment_id
    group by g.enrollment_id
    union all by name
    select
        g.enrollment_id,
        max(p.resumed_at) as resumed_at,
    from pausing as g
    inner join live as v on g.enrollment_id = v.enrollment_id
    inner join sequence_versions as q on v.version_id = q.version_id
    inner join pauses as p on p.scope = 'everything' or (p.scope = 'sequence' and q.sequence_id = p.name)
    group by g.enrollment_id
)

select
    g.enrollment_id,
    greatest(any_value(g.occurred_at), max(e.resumed_at)) as paused_at,
    any_value(g.kind) as reason,
    any_value(g.resumes_at) as resumes_at,
from pausing as g
left join ended as e on g.enrollment_id = e.enrollment_id
where not g.was_paused
group by g.enrollment_id;

update enrollment_pauses set
    resumes_at = case
        when p.resumes_at is not null and enrollment_pauses.resumes_at is not null
            then greatest(p.resumes_at, enrollment_pauses.resumes_at)
    end,
from pausing as p
where p.was_paused and enrollment_pauses.enrollment_id = p.enrollment_id and enrollment_pauses.resumed_at is null;

update live set is_paused = true,
from pausing as p
where live.enrollment_id = p.enrollment_id;

-- Opens and clicks count once the burst around them could be judged (R5). A click implies an open.
create or replace temp table judged as
select p.*
from engagement_pending as p
where p.received_at <= $judged_before;

update live set
    opened_mask = live.opened_mask | j.opened_mask,
    clicked_mask = live.clicked_mask | j.clicked_mask,
from (
    select
        g.enrollment_id,
        bit_or(1::bigint << h.step_ix) as opened_mask,
        coalesce(bit_or(1::bigint << h.step_ix) filter (where g.kind = 'clicked'), 0) as clicked_mask,
    from judged as g
    inner join (
        select distinct e.event_id, e.step_ix
        from placed_events as e
        where
            e.verdict = 'human'
            and e.received_at >= (select min(received_at) from judged)
            -- The step of the message may be gone since a migration.
            and e.step_ix >= 0
    ) as h on g.event_id = h.event_id
    group by g.enrollment_id
) as j
where live.enrollment_id = j.enrollment_id;

delete from engagement_pending
where received_at <= $judged_before;
