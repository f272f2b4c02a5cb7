-- $enrollment_base is the number before the first one drawn for this batch.

insert into enrollments by name
select
    $enrollment_base + number as enrollment_id, lead_id, sequence_id, version_id, entry_no, enrolled_at,
    'import' as enrolled_by, is_holdout, origin
from ingest_new_enrollments;

-- Ends and arms may come with a later import of the same enrollment.
create or replace temp table ingest_known_enrollments as
select p.*, e.enrollment_id
from ingest_placed_enrollments as p
inner join enrollments as e
    on
        p.lead_id = e.lead_id and p.sequence_id = e.sequence_id and p.enrolled_at = e.enrolled_at
        and e.origin = 'import';

insert into enrollment_ends by name
select k.enrollment_id, k.ended_at, k.status, k.end_reason as reason
from ingest_known_enrollments as k
anti join enrollment_ends as d using (enrollment_id)
where k.status is not null
qualify row_number() over (partition by k.enrollment_id order by k.target_no) = 1;

insert into assignments by name
select
    k.experiment_id, k.lead_id as unit_id, k.arm, k.probability, k.enrolled_at as assigned_at, k.enrollment_id,
    'import' as reason
from ingest_known_enrollments as k
anti join assignments as a on k.experiment_id = a.experiment_id and k.lead_id = a.unit_id and k.arm = a.arm
where k.experiment_id is not null
qualify row_number() over (partition by k.experiment_id, k.lead_id, k.arm order by k.enrolled_at, k.target_no) = 1;
