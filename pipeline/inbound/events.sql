-- Incoming events, checked one by one and freed of duplicates; ids are a hash of source and key.

create or replace temp table ingest_events as
with parsed as (
    select
        r.*, coalesce(r.record ->> '$.key', r.line_id || '-' || r.position) as key,
        from_json(
            r.record,
            '{"kind": "VARCHAR", "name": "VARCHAR", "occurred_at": "VARCHAR", "send_id": "VARCHAR",
              "message_id": "VARCHAR", "email": "VARCHAR", "phone": "VARCHAR", "external_id": "VARCHAR",
              "url": "VARCHAR", "value": "VARCHAR", "currency": "VARCHAR", "agent": "VARCHAR", "network": "VARCHAR",
              "callback_at": "VARCHAR"}'
        ) as p
    from ingest_records as r
    where r.part = 'events'
),

typed as (
    select
        segment, rejected_id, line_id, position, received_text, received_at, source, origin, record, key,
        cast(md5_number_lower(source || chr(31) || key) >> 1 as bigint) as event_id,
        p.kind, nullif(trim(p.name), '') as name,
        coalesce(try_cast(p.occurred_at as timestamptz), if(p.occurred_at is null, received_at, null)) as occurred_at,
        try_cast(p.send_id as bigint) as given_send_id,
        nullif(trim(p.message_id), '') as message_id,
        p.email, p.phone, p.external_id, p.url,
        p.value as value_text, try_cast(p.value as decimal(18, 4)) as value,
        if(p.kind = 'custom' and try_cast(p.value as decimal(18, 4)) is null, trim(p.value), null) as word,
        upper(nullif(trim(p.currency), '')) as currency, trim(p.agent) as agent, p.network,
        p.callback_at as callback_text, try_cast(p.callback_at as timestamptz) as callback_at
    from parsed
)

select
    *,
    case
        when kind is null then 'The event has no "kind".'
        when not list_contains($kinds, kind)
            then 'The kind "' || left(kind, 40) || '" is unknown: it is one of ' || array_to_string($kinds, ', ') || '.'
        when occurred_at is null then '"occurred_at" is not a possible ISO 8601 moment.'
        when occurred_at > received_at + interval 1 day
            then '"occurred_at" lies more than a day after the receipt.'
        when callback_text is not null and callback_at is null then '"callback_at" is not a possible ISO 8601 moment.'
        when callback_at > received_at + interval 1 year then '"callback_at" lies more than a year after the receipt.'
        when occurred_at < timestamptz '1990-01-01 00:00:00+00' then '"occurred_at" lies before 1990.'
        when name is null and kind in ('converted', 'conversion_reversed', 'custom')
            then 'An event of kind ' || kind || ' needs a "name": the goal, or the custom event.'
        when word is not null and not regexp_full_match(word, '[A-Za-z][A-Za-z0-9_-]{0,59}')
            then '"value" of a custom event is one word like "demo", or an amount of money like "12.50".'
        when value_text is not null and value is null and word is null
            then '"value" is not an amount of money like "12.50".'
        when value is not null and currency is null then 'An event with a "value" needs its "currency", like "USD".'
        when currency is not null and not regexp_full_match(currency, '[A-Z]{3}')
            then '"currency" is not an ISO 4217 code like "USD".'
    end as reason
from typed;

insert into ingest_problems
select
    segment, rejected_id, received_at, source, reason,
    json_object(
        'id', line_id, 'received_at', received_text, 'source', source,
        'events', [json_merge_patch(record, json_object('key', key))]
    )
from ingest_events
where reason is not null;

create or replace temp table ingest_fresh_events as
with good as (
    select * from ingest_events where reason is null
),

distinct_events as (
    select * from good
    qualify row_number() over (partition by event_id order by received_at, line_id, position, record) = 1
)

select d.*, row_number() over (order by d.received_at, d.event_id) as target_no
from distinct_events as d
anti join events as e on d.event_id = e.event_id;
