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
    select p.* from ingest_placed_enrollments as p
    anti join imported as i on p.lead_id = i.lead_id and p.sequence_id = i.sequence_id and p.enrolled_at = i.enrolled_at
    qualify row_number() over (partition by p.lead_id, p.sequence_id, p.enrolled_at order by p.target_no) = 1
)

select
    f.*, v.version_id,
    row_number() over (order by f.enrolled_at, f.target_no) as number,
    coalesce(r.count_entries, 0)
    + row_number() over (partition by f.lead_id, f.sequence_id order by f.enrolled_at) as entry_no
from fresh as f
inner join sequence_versions as v
    on
        f.sequence_id = v.sequence_id and v.origin = 'import'
        and f.goal_name is not distinct from v.goal_name
        and f.goal_within_seconds is not distinct from v.goal_within_seconds
left join earlier as r on f.lead_id = r.lead_id and f.sequence_id = r.sequence_id;
