-- Imported enrollments go in once per lead, sequence and moment; no live row, so no tick plans anything for them (R24).

insert into ingest_problems
select
    e.segment, e.rejected_id, e.received_at, e.source, coalesce(e.reason, 'The enrollment ' || f.problem),
    json_object('id', e.line_id, 'received_at', e.received_text, 'source', e.source, 'enrollments', [e.record])
from ingest_enrollments as e
left join ingest_found as f using (target_no)
where e.reason is not null or f.problem is not null;

create or replace temp table ingest_placed_enrollments as
select e.*, f.lead_id
from ingest_enrollments as e
inner join ingest_found as f using (target_no)
where e.reason is null and f.lead_id is not null;

create or replace temp table ingest_new_versions as
with wanted as (
    select
        sequence_id, goal_name, goal_within_seconds,
        'import' || coalesce(':' || goal_name, '') || coalesce(':' || goal_within_seconds, '') as version,
        min(received_at) as registered_at
    from ingest_placed_enrollments
    group by all
)

select w.*, row_number() over (order by w.sequence_id, w.version) as number
from wanted as w
anti join sequence_versions as v on w.sequence_id = v.sequence_id and w.version = v.version and v.origin = 'import';
