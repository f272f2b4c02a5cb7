-- Bounces among the answers (R20). In: temp table `answers`. Out: rows of `events` and `suppressions`, and the temp tables
-- `bounced` and `bounce_events`. Servers say it by an enhanced status code of RFC 3463 (5.1.1, 5.1.2, 5.1.3, 5.1.6, 5.1.10),
-- or, without one, in words; a plain 550 may as well mean the message or the sender, and suppresses nobody.

create or replace temp table bounced as
select
    d.send_id,
    d.enrollment_id,
    d.lead_id,
    d.step_ix,
    d.channel,
    a.settled_at as occurred_at,
    cast(md5_number_lower('dispatcher' || chr(31) || d.send_id || '-' || v.attempts) >> 1 as bigint) as event_id
from answers as a
inner join live as v on a.send_id = v.send_id and v.status = 'in_flight'
inner join sends as d on a.send_id = d.send_id
where
    a.status = 'refused'
    and d.channel in ('email', 'sms', 'call', 'whatsapp')
    and (
        regexp_matches(a.reason, '^5[0-9][0-9][ -]5\.1\.(1|2|3|6|10)\b')
        or (
            regexp_matches(a.reason, '^55[013]\b')
            and not regexp_matches(a.reason, '^55[013][ -]5\.[0-9]+\.[0-9]+')
            and regexp_matches(
                lower(a.reason),
                '(no such|unknown|invalid|non-?existent).*(user|mailbox|recipient|address|account|person)'
                || '|(user|mailbox|recipient|address|account).*(unknown|not found|not exist|n.t exist|invalid)'
            )
        )
    )
qualify row_number() over (partition by a.send_id order by a.attempt desc, a.settled_at desc) = 1;

create or replace temp table bounce_events as
select e.*
from events as e
where false;

insert into bounce_events by name
select
    event_id,
    'bounced' as kind,
    occurred_at,
    occurred_at as received_at,
    lead_id,
    enrollment_id,
    send_id,
    step_ix,
    'human' as verdict,
    cast($verdict_version as integer) as verdict_version,
    'dispatcher' as source,
    'live' as origin
from bounced;

insert into events by name
select *
from bounce_events;

-- A number holds for everybody who has it, as when it is reported (R20).
insert into suppressions by name
with reported as (
    select
        lead_id,
        channel,
        'bounced' as reason,
        occurred_at as created_at
    from bounced
    union
    select
        other.lead_id,
        b.channel,
        'bounced' as reason,
        b.occurred_at as created_at
    from bounced as b
    inner join identities as own on b.lead_id = own.lead_id
    inner join lead_keys as other on own.phone = other.phone
    where b.channel = 'sms'
)

select *
from reported
anti join suppressions using (lead_id, channel, reason, created_at);
