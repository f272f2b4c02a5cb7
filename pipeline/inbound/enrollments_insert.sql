-- $version_base and $enrollment_base are the numbers before the first ones drawn for this batch.

insert into sequence_versions by name
select
    $version_base + number as version_id, sequence_id, version, goal_name, goal_within_seconds, '[]' as definition,
    registered_at, 'import' as origin
from ingest_new_versions;

create or replace temp table ingest_new_enrollments as
with imported as (
    select e.lead_id, e.sequence_id, e.enrolled_at
    from enrollments as e
    where e.origin = 'import'
),

earlier as (
    select e.lead_id, e.sequence_id, count(*) as count_entries
    from enrollments as e
    semi join ingest_placed_enrollments using (lead_id)
    group by all
),

fresh as (
    select
        p.lead_id, p.sequence_id, p.enrolled_at, min(p.target_no) as target_no
    from ingest_placed_enrollments as p
    anti join imported as i on p.lead_id = i.lead_id and p.sequence_id = i.sequence_id and p.enrolled_at = i.enrolled_at
    group by all
),

several as (
    select lead_id, sequence_id from fresh group by all having count(*) > 1
),

-- Only who comes in twice at once needs to be counted.
repeated as (
    select
        target_no, row_number() over (partition by lead_id, sequence_id order by enrolled_at) as nth
    from fresh
    semi join several using (lead_id, sequence_id)
)

select
    f.lead_id, f.sequence_id, f.enrolled_at, p.is_holdout, p.origin, v.version_id,
    row_number() over (order by f.target_no) as number,
    coalesce(r.count_entries, 0) + coalesce(n.nth, 1) as entry_no
from fresh as f
inner join ingest_placed_enrollments as p using (target_no)
inner join sequence_versions as v
    on
        f.sequence_id = v.sequence_id and v.origin = 'import'
        and p.goal_name is not distinct from v.goal_name
        and p.goal_within_seconds is not distinct from v.goal_within_seconds
left join earlier as r on f.lead_id = r.lead_id and f.sequence_id = r.sequence_id
left join repeated as n on f.target_no = n.target_no;
