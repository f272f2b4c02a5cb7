-- Table verdicts (event_id, verdict) is there: what the classifier says about the new opens and clicks.

create or replace temp table ingest_new_events as
select
    p.event_id, p.kind, p.name, p.occurred_at, p.received_at, p.lead_id, p.enrollment_id, p.send_id, p.step_ix, p.url,
    p.value, p.currency, p.agent, p.network, coalesce(v.verdict, 'human') as verdict,
    cast($verdict_version as smallint) as verdict_version, p.source, p.origin,
    p.callback_at, p.word
from ingest_placed as p
left join verdicts as v using (event_id);

insert into events by name select * from ingest_new_events;

create or replace temp table new_events as
select * from ingest_new_events where origin = 'live';

insert into engagement_pending by name
select event_id, lead_id, enrollment_id, step_ix, kind, received_at
from new_events
where kind in ('opened', 'clicked') and verdict = 'human';
