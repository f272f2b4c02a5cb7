-- Events that enroll their lead are kept until a tick looks at them; opens and clicks count once judged (R5).
-- In: temp table `new_events` of this ingest, relation `enroll_event` of the programme.

insert into entry_events by name
select
    e.event_id,
    t.sequence_id,
    e.lead_id,
    e.received_at,
    if(e.kind in ('opened', 'clicked'), e.received_at + to_seconds($judged), e.received_at) as counts_at
from new_events as e
inner join enroll_event as t
    on
        e.kind = t.kind
        and (t.name is null or e.name = t.name)
        and (t.url_like is null or e.url like t.url_like escape '!')
        and (t.value is null or e.word = t.value);
