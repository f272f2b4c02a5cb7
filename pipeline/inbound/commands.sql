-- What somebody asks for, checked: enroll a lead, or never contact it again. Whom a request means is asked next.

create or replace temp table ingest_commands as
with parsed as (
    select
        r.*, coalesce(r.record ->> '$.key', r.line_id || '-' || r.position) as key,
        from_json(
            r.record,
            '{"kind": "VARCHAR", "sequence": "VARCHAR", "enrolled_by": "VARCHAR", "starts_at": "VARCHAR",
              "by": "VARCHAR", "context": "JSON",
              "lead": {"lead_id": "BIGINT", "email": "VARCHAR", "phone": "VARCHAR", "external_id": "VARCHAR"}}'
        ) as p
    from ingest_records as r
    where r.part = 'commands'
),

typed as (
    select
        segment, rejected_id, line_id, position, received_text, received_at, source, origin, record, key,
        cast(md5_number_lower(source || chr(31) || 'command' || chr(31) || key) >> 1 as bigint) as command_id,
        p.kind, nullif(trim(p.sequence), '') as sequence_id, coalesce(p.enrolled_by, 'api') as enrolled_by,
        p.starts_at as starts_text, try_cast(p.starts_at as timestamptz) as starts_at,
        left(nullif(trim(p.by), ''), 100) as requested_by, p.context,
        p.lead.email, p.lead.phone, p.lead.external_id,
        -- Only who asks the ledger itself knows our ids.
        if(source = 'operator', p.lead.lead_id, null) as given_lead_id
    from parsed
)

select
    t.*,
    case
        when t.kind is null or t.kind not in ('enroll', 'do_not_contact')
            then '"kind" of a command is enroll or do_not_contact.'
        when t.origin = 'import' then 'Commands are not taken from imports.'
        when t.kind = 'enroll' and t.sequence_id is null then 'The command has no "sequence".'
        when t.enrolled_by not in ('segment', 'list', 'hand', 'api')
            then '"enrolled_by" is segment, list, hand or api.'
        when t.starts_text is not null and (t.starts_at is null or not isfinite(t.starts_at))
            then '"starts_at" is not a possible ISO 8601 moment.'
        when t.starts_at > t.received_at + interval 1830 day then '"starts_at" lies more than five years ahead.'
        when t.context is not null and json_type(t.context) <> 'OBJECT'
            then '"context" is not an object like {"offer": "spring"}.'
    end as reason,
    row_number() over (order by t.received_at, t.line_id, t.position, t.record) as target_no
from typed as t;

create or replace temp table ingest_targets as
select target_no, source, email, phone, external_id from ingest_commands where reason is null and given_lead_id is null;
