-- Open requests to enroll: those for a sequence that runs want to enter it, those for one that never will are refused.
-- Requests for a paused sequence stay open. Out: rows of the temp table `wanting`.

create or replace temp table requests as
select c.*
from commands as c
where c.outcome is null and c.kind = 'enroll';

update commands set
    decided_at = $now,
    outcome = 'refused',
    reason = if(list_contains($known, r.sequence_id), 'not_active', 'unknown_sequence')
from requests as r
where
    commands.command_id = r.command_id
    and not list_contains($active, r.sequence_id)
    and not list_contains($paused, r.sequence_id);

insert into wanting by name
select
    r.sequence_id,
    r.lead_id,
    l.created_at,
    r.enrolled_by,
    r.command_id,
    r.requested_at,
    if(r.starts_at > $now, r.starts_at, null) as starts_at
from requests as r
inner join leads as l on r.lead_id = l.lead_id
where list_contains($active, r.sequence_id);
