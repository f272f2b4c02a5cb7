-- R20. A row per lead, channel, reason and moment, so that order and repetition change nothing.
create or replace temp table ingest_suppressions as
with reported as (
    select lead_id, channel, kind as reason, occurred_at as created_at
    from ingest_placed
    where kind in ('unsubscribed', 'complained', 'bounced')
),

-- STOP holds for the number, whoever else has it.
numbers as (
    select r.*, i.phone
    from reported as r
    inner join lead_keys as i using (lead_id)
    where r.channel = 'sms' and i.phone is not null
),

widened as (
    select * from reported
    union
    select i.lead_id, n.channel, n.reason, n.created_at
    from lead_keys as i
    inner join numbers as n using (phone)
)

select w.* from widened as w
where not exists (
    select 1 from suppressions as s
    where
        s.lead_id = w.lead_id and s.channel = w.channel and s.reason = w.reason and s.created_at = w.created_at
        and s.sequence_id is null
);

insert into suppressions
select lead_id, channel, null, reason, created_at, null from ingest_suppressions;

-- Who subscribed again, in this batch or before: that lifts the unsubscribes before it, and nothing else.
create or replace temp table ingest_lifts as
with moved as (
    select lead_id from ingest_placed where kind = 'subscribed'
    union
    select lead_id from ingest_suppressions where reason = 'unsubscribed'
),

subscribed as (
    select lead_id, channel, occurred_at from ingest_placed where kind = 'subscribed'
    union
    select e.lead_id, coalesce(s.channel, 'email') as channel, e.occurred_at
    from events as e
    semi join moved using (lead_id)
    left join sends as s on e.send_id = s.send_id
    where e.kind = 'subscribed' and e.event_id not in (select event_id from ingest_placed)
),

widened as (
    select * from subscribed
    union
    select other.lead_id, b.channel, b.occurred_at
    from subscribed as b
    inner join identities as own on b.lead_id = own.lead_id
    inner join identities as other on own.phone = other.phone
    where b.channel = 'sms'
)

select s.lead_id, s.channel, s.created_at, min(b.occurred_at) as lifted_at
from suppressions as s
inner join widened as b on s.lead_id = b.lead_id and s.channel = b.channel and b.occurred_at > s.created_at
where s.reason = 'unsubscribed'
group by all;

update suppressions set lifted_at = l.lifted_at
from ingest_lifts as l
where
    suppressions.lead_id = l.lead_id and suppressions.channel = l.channel
    and suppressions.created_at = l.created_at and suppressions.reason = 'unsubscribed'
    and suppressions.lifted_at is distinct from l.lifted_at;
