-- Problems become rows to look at; what failed again stays, what went through is resolved.

insert into rejected
with fresh as (
    select
        segment, coalesce(received_at, $now) as received_at, source, reason, raw,
        row_number() over (partition by raw, reason order by segment) as nth
    from ingest_problems
    where rejected_id is null
)

select
    $rejected_base + row_number() over (order by f.received_at, f.raw, f.reason), f.segment, f.received_at, f.source,
    f.reason, f.raw, null
from fresh as f
where
    f.nth = 1
    and not exists (
        select 1 from rejected as r where r.raw = f.raw and r.reason = f.reason and r.resolved_at is null
    );

update rejected set resolved_at = $now
where
    rejected_id in (select rejected_id from landing_lines where rejected_id is not null)
    and rejected_id not in (select rejected_id from ingest_problems where rejected_id is not null);

update rejected set reason = p.reason
from (
    select rejected_id, min(reason) as reason from ingest_problems where rejected_id is not null group by rejected_id
) as p
where rejected.rejected_id = p.rejected_id and rejected.reason <> p.reason;
