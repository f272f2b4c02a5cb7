-- Who asks to be looked at besides leads that have changed: those who wait, and those of whom an event came that enrolls.
-- Out: temp tables `asking`, and `told`, the events that have had their say.

create or replace temp table told as
with judged as (
    select
        p.event_id,
        p.sequence_id,
        p.lead_id,
        p.received_at,
        p.counts_at,
        e.verdict
    from entry_events as p
    inner join (
        select
            event_id,
            verdict
        from events
        where received_at >= (select min(received_at) from entry_events)
    ) as e on p.event_id = e.event_id
    where p.counts_at is null or p.counts_at <= $now
)

select *
from judged
where list_contains($active, sequence_id) and (verdict = 'human' or counts_at is not null);

create or replace temp table asking as
select
    sequence_id,
    lead_id
from told
where verdict = 'human'
union
select
    sequence_id,
    lead_id
from entry_waits
where $takes_waiting;

delete from entry_events
using told as t
where entry_events.event_id = t.event_id and entry_events.sequence_id = t.sequence_id and t.verdict = 'human';

-- A verdict may change within an hour, when a burst completes.
update entry_events set counts_at = null
from told as t
where entry_events.event_id = t.event_id and entry_events.sequence_id = t.sequence_id;

delete from entry_events
where counts_at is null and received_at < $now - interval 1 hour;
