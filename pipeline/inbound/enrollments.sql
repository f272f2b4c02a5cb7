-- Imported enrollments, checked; whom they mean is asked next.

create or replace temp table ingest_enrollments as
with parsed as (
    select
        r.*,
        from_json(
            r.record,
            '{"sequence_id": "VARCHAR", "goal": "VARCHAR", "goal_within_seconds": "VARCHAR", "enrolled_at": "VARCHAR",
              "status": "VARCHAR", "ended_at": "VARCHAR", "end_reason": "VARCHAR", "is_holdout": "VARCHAR",
              "experiment_id": "VARCHAR", "arm": "VARCHAR",
              "lead": {"email": "VARCHAR", "phone": "VARCHAR", "external_id": "VARCHAR"}}'
        ) as p
    from ingest_records as r
    where r.part = 'enrollments'
),

typed as (
    select
        segment, rejected_id, line_id, position, received_text, received_at, source, origin, record,
        nullif(trim(p.sequence_id), '') as sequence_id, nullif(trim(p.goal), '') as goal_name,
        try_cast(p.goal_within_seconds as bigint) as goal_within_seconds,
        p.enrolled_at as enrolled_text, try_cast(p.enrolled_at as timestamptz) as enrolled_at,
        nullif(trim(p.status), '') as status, p.ended_at as ended_text,
        coalesce(try_cast(p.ended_at as timestamptz), try_cast(p.enrolled_at as timestamptz)) as ended_at,
        p.end_reason, coalesce(try_cast(p.is_holdout as boolean), false) as is_holdout,
        nullif(trim(p.experiment_id), '') as experiment_id, nullif(trim(p.arm), '') as arm,
        p.lead
    from parsed
)

select
    t.* exclude (lead), t.lead.email, t.lead.phone, t.lead.external_id, a.share as probability,
    case
        when t.origin <> 'import' then 'Enrollments are taken from imports only: live ones are made by a tick.'
        when t.sequence_id is null then 'The enrollment has no "sequence_id".'
        when t.enrolled_at is null or not isfinite(t.enrolled_at)
            then '"enrolled_at" is missing or not a possible ISO 8601 moment.'
        when t.enrolled_at > t.received_at + interval 1 day
            then '"enrolled_at" lies more than a day after the receipt.'
        when t.ended_text is not null and try_cast(t.ended_text as timestamptz) is null
            then '"ended_at" is not a possible ISO 8601 moment.'
        when t.ended_at < t.enrolled_at then '"ended_at" lies before "enrolled_at".'
        when t.status not in ('completed', 'converted', 'exited') then '"status" is completed, converted or exited.'
        when (t.experiment_id is null) <> (t.arm is null) then '"experiment_id" and "arm" go together.'
        when t.experiment_id is not null and a.arm is null
            then 'The experiment or its arm is not known (yet): once it is, run `drip ingest --rejected`.'
    end as reason,
    row_number() over (order by t.received_at, t.line_id, t.position, t.record) as target_no
from typed as t
left join arms as a on t.experiment_id = a.experiment_id and t.arm = a.arm;

create or replace temp table ingest_targets as
select target_no, source, email, phone, external_id from ingest_enrollments where reason is null;
