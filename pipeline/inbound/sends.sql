-- Imported sends, checked; whom they mean is asked next.

create or replace temp table ingest_sends as
with parsed as (
    select
        r.*,
        from_json(
            r.record,
            '{"key": "VARCHAR", "sequence_id": "VARCHAR", "step_id": "VARCHAR", "channel": "VARCHAR",
              "sender": "VARCHAR", "variant": "VARCHAR", "handed_over_at": "VARCHAR", "message_id": "VARCHAR",
              "lead": {"email": "VARCHAR", "phone": "VARCHAR", "external_id": "VARCHAR"}}'
        ) as p
    from ingest_records as r
    where r.part = 'sends'
),

typed as (
    select
        segment, rejected_id, line_id, position, received_text, received_at, source, origin,
        json_merge_patch(record, json_object('key', coalesce(p.key, line_id || '-' || position))) as record,
        coalesce(nullif(trim(p.message_id), ''), source || ':' || coalesce(p.key, line_id || '-' || position))
            as message_id,
        nullif(trim(p.sequence_id), '') as sequence_id, nullif(trim(p.step_id), '') as step_id,
        coalesce(nullif(trim(p.channel), ''), 'email') as channel,
        coalesce(nullif(trim(p.sender), ''), 'import') as sender,
        nullif(trim(p.variant), '') as variant, try_cast(p.handed_over_at as timestamptz) as handed_over_at,
        p.lead
    from parsed
)

select
    * exclude (lead), lead.email, lead.phone, lead.external_id,
    case
        when origin <> 'import' then 'Sends are taken from imports only: live ones are made by a tick.'
        when sequence_id is null then 'The send has no "sequence_id".'
        when step_id is null then 'The send has no "step_id".'
        when not list_contains($channels, channel)
            then '"channel" is one of ' || array_to_string($channels, ', ') || '.'
        when handed_over_at is null or not isfinite(handed_over_at)
            then '"handed_over_at" is missing or not a possible ISO 8601 moment.'
        when handed_over_at > received_at + interval 1 day
            then '"handed_over_at" lies more than a day after the receipt.'
    end as reason,
    row_number() over (order by received_at, line_id, position, record) as target_no
from typed;

create or replace temp table ingest_targets as
select target_no, source, email, phone, external_id from ingest_sends where reason is null;
