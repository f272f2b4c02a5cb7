-- Table verdicts (event_id, verdict) is there: earlier opens and clicks whose burst is only now complete.

create or replace temp table ingest_verdict_changes as
select f.*, v.verdict as new_verdict
from features as f
inner join verdicts as v using (event_id)
where f.verdict <> v.verdict;

update events set verdict = c.new_verdict, verdict_version = $verdict_version
from ingest_verdict_changes as c
where events.event_id = c.event_id;

delete from engagement_pending where event_id in (
    select event_id from ingest_verdict_changes where new_verdict <> 'human'
);

insert into engagement_pending by name
select event_id, lead_id, enrollment_id, step_ix, kind, received_at
from ingest_verdict_changes
where new_verdict = 'human' and origin = 'live';
