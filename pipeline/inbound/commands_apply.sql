-- Requests about known leads wait in `commands` for the engine; who may never be contacted again is suppressed at once.

create or replace temp table ingest_asked as
select
    c.target_no, coalesce(g.kept_lead_id, l.lead_id, f.lead_id) as lead_id,
    coalesce(f.problem, 'names a lead_id that nobody has.') as problem
from ingest_commands as c
left join ingest_found as f on c.target_no = f.target_no
left join merged_leads as g on c.given_lead_id = g.lead_id
left join leads as l on c.given_lead_id = l.lead_id;

insert into ingest_problems
select
    c.segment, c.rejected_id, c.received_at, c.source, coalesce(c.reason, 'The command ' || f.problem),
    json_object(
        'id', c.line_id, 'received_at', c.received_text, 'source', c.source,
        'commands', [json_merge_patch(c.record, json_object('key', c.key))]
    )
from ingest_commands as c
left join ingest_asked as f using (target_no)
where c.reason is not null or f.lead_id is null;

create or replace temp table ingest_new_commands as
select c.*, f.lead_id
from ingest_commands as c
inner join ingest_asked as f using (target_no)
anti join commands as k on c.command_id = k.command_id
where c.reason is null and f.lead_id is not null
qualify row_number() over (partition by c.command_id order by c.target_no) = 1;

insert into commands by name
select
    command_id, kind, lead_id, if(kind = 'enroll', sequence_id, null) as sequence_id,
    if(kind = 'enroll', enrolled_by, null) as enrolled_by, if(kind = 'enroll', starts_at, null) as starts_at,
    received_at as requested_at, requested_by, if(kind = 'enroll', null, $now) as decided_at,
    if(kind = 'enroll', null, 'done') as outcome
from ingest_new_commands;

insert into enrollment_contexts by name
select command_id, context from ingest_new_commands where kind = 'enroll' and context is not null;

create or replace temp table new_blocks as
select c.lead_id, min(c.received_at) as blocked_at
from ingest_new_commands as c
where c.kind = 'do_not_contact'
group by c.lead_id;

insert into suppressions by name
select b.lead_id, 'do_not_contact' as reason, b.blocked_at as created_at
from new_blocks as b
where not exists (
    select 1 from suppressions as s
    where s.lead_id = b.lead_id and s.reason = 'do_not_contact' and s.channel is null and s.sequence_id is null
);
