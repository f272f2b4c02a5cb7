-- Pauses that end by themselves (R6): as if somebody had resumed them at that very moment, whenever the tick comes.

create or replace temp table resuming as
select
    p.enrollment_id,
    p.paused_at,
    p.resumes_at as until_at
from enrollment_pauses as p
inner join live as v on p.enrollment_id = v.enrollment_id
inner join sequence_versions as q on v.version_id = q.version_id
where
    p.resumed_at is null
    and p.resumes_at <= $now
    and v.is_paused
    and not v.is_ended
    and ($sequence_id::varchar is null or q.sequence_id = $sequence_id);

update live set is_paused = false,
from resuming as r
where live.enrollment_id = r.enrollment_id;

update enrollment_pauses set resumed_at = r.until_at,
from resuming as r
where enrollment_pauses.enrollment_id = r.enrollment_id and enrollment_pauses.resumed_at is null;

-- Whoever has ended meanwhile never resumes.
update enrollment_pauses set resumes_at = null
where
    resumed_at is null
    and resumes_at <= $now
    and enrollment_id not in (select v.enrollment_id from live as v where not v.is_ended);
