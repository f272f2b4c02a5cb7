-- Events of known leads, judged, go into the ledger; suppressions and what the burst filter holds back follow from them.

create or replace temp table ingest_placed as
select
    f.*, coalesce(m.lead_id, t.lead_id) as lead_id, m.send_id, m.enrollment_id, m.step_ix, t.problem,
    coalesce(
        m.channel, if(f.email is null and f.external_id is null and f.phone is not null, 'sms', 'email')
    ) as channel
from ingest_fresh_events as f
left join ingest_messages as m using (target_no)
left join ingest_found as t using (target_no);

insert into ingest_problems
select
    segment, rejected_id, received_at, source, 'The event ' || problem,
    json_object(
        'id', line_id, 'received_at', received_text, 'source', source,
        'events', [json_merge_patch(record, json_object('key', key))]
    )
from ingest_placed
where lead_id is null;

delete from ingest_placed where lead_id is null;
