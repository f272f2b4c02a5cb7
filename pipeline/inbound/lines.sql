-- From lines of text to records: one row per lead, event, enrollment, send, experiment; what is no line goes to the problems.

create or replace temp table ingest_problems (
    segment varchar, rejected_id bigint, received_at timestamptz, source varchar, reason varchar, raw varchar
);

create or replace temp table ingest_lines as
with shaped as (
    select
        segment, rejected_id, line,
        -- Valid JSON that begins with a brace is an object, without parsing it twice.
        starts_with(ltrim(line), '{') and json_valid(line) as is_object
    from landing_lines
),

parsed as (
    select
        segment, rejected_id, line, is_object,
        from_json(
            case when is_object then line else '{}' end,
            '{"id": "VARCHAR", "received_at": "VARCHAR", "source": "VARCHAR", "error": "VARCHAR", "leads": "JSON",
              "events": "JSON", "enrollments": "JSON", "sends": "JSON", "experiments": "JSON", "commands": "JSON"}'
        ) as p
    from shaped
),

typed as (
    select
        segment, rejected_id, line, is_object, p.id as line_id, p.received_at as received_text, p.source, p.error,
        try_cast(p.received_at as timestamptz) as received_at,
        [p.experiments, p.leads, p.enrollments, p.sends, p.events, p.commands] as parts
    from parsed
)

select
    *,
    case
        when not is_object then 'The line is not a JSON object: mend it, or drop it.'
        when error is not null then 'The request could not be mapped: ' || error
        when coalesce(trim(line_id), '') = '' then 'The line has no "id": every line needs its own.'
        when received_at is null or not isfinite(received_at)
            then '"received_at" is missing or not a possible ISO 8601 moment.'
        when coalesce(trim(source), '') = ''
            then 'The line has no "source": tracker, api, operator, webhook:<name> or import:<name>.'
        when len(list_filter(parts, lambda part: not starts_with(part::varchar, '['))) > 0
            then 'leads, events, enrollments, sends, experiments and commands must be lists.'
    end as reason
from typed;

insert into ingest_problems
select segment, rejected_id, received_at, source, reason, line from ingest_lines where reason is not null;

create or replace temp table ingest_records as
with good as (
    select
        segment, rejected_id, line_id, received_text, received_at, source, parts,
        if(starts_with(source, 'import:'), 'import', 'live') as origin
    from ingest_lines
    where reason is null
),

by_part as (
    select
        * exclude (parts), unnest(parts) as records,
        unnest(['experiments', 'leads', 'enrollments', 'sends', 'events', 'commands']) as part
    from good
),

listed as (
    select * exclude (records), from_json(records, '["JSON"]') as records from by_part where records is not null
)

select
    * exclude (records), unnest(records) as record, generate_subscripts(records, 1) as position
from listed;

insert into ingest_problems
select
    segment, rejected_id, received_at, source, 'The record is not a JSON object: mend it, or drop it.',
    json_object('id', line_id, 'received_at', received_text, 'source', source, part, [record])
from ingest_records
where coalesce(json_type(record), 'NULL') <> 'OBJECT';

delete from ingest_records where coalesce(json_type(record), 'NULL') <> 'OBJECT';
