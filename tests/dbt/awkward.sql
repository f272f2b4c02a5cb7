-- Facts that make sums and rates go wrong: a sequence of held-out people only, one that never sent, money without a rate,
-- reversals, two entries of one lead, messages without a lead's reaction, tasks, machines, imports, nulls wherever one may be.
insert into marts.leads by name
select
    i as lead_id, timestamptz '2026-01-30 12:00:00Z' + interval (i) day as created_at,
    date '2026-01-30' + cast(i as integer) as created_on, if(i % 3 = 0, null, 'META') as source,
    if(i % 4 = 0, null, ['US', 'CA', 'US', 'MX'][i % 4 + 1]) as country, if(i > 9, 'import', 'live') as origin,
    if(i % 5 = 0, 'converted', 'contacted') as status,
    if(i % 2 = 0, timestamptz '2026-02-20 12:00:00Z', null) as first_contacted_at,
    if(i % 5 = 0, timestamptz '2026-02-21 12:00:00Z', null) as responded_at,
    if(i % 5 = 0, timestamptz '2026-02-22 12:00:00Z', null) as converted_at,
    if(i <= 8, 1, 0) as count_enrollments, if(i % 2 = 0, 1, 0) as count_sends,
    -- 5 was reversed, 10 has no rate.
    case i when 5 then 0 when 10 then null when 12 then 99.5 else 0 end as revenue
from range(1, 13) as t (i);

insert into marts.enrollments by name
select *, date '2026-02-10' + cast(enrollment_id as integer) as enrolled_on, 'v1' as version, count_sends > 0 as was_contacted
from (
    values
    -- Entered twice, and both entries see the one sale.
    (1, 1, 'twice', 1, 'converted', 'goal', timestamptz '2026-02-20 12:00:00Z', false, 2, true, true, 120.25, 'live'),
    (2, 1, 'twice', 2, 'converted', 'goal', timestamptz '2026-02-28 12:00:00Z', false, 0, false, true, 120.25, 'live'),
    -- Nobody but held-out people: no rate has a denominator.
    (3, 3, 'held', 1, 'completed', 'held_out', timestamptz '2026-02-20 12:00:00Z', true, 0, true, true, 50, 'live'),
    (4, 4, 'held', 1, 'active', null, null, true, 0, false, false, 0, 'live'),
    (12, 12, 'held', 1, 'exited', 'stopped', timestamptz '2026-02-20 12:00:00Z', true, 0, false, true, null, 'live'),
    (13, 12, 'held', 2, 'exited', 'stopped', timestamptz '2026-02-20 12:00:00Z', true, 0, false, false, 0, 'live'),
    (14, 11, 'held', 1, 'completed', null, timestamptz '2026-02-20 12:00:00Z', true, 0, false, false, 0, 'live'),
    -- Held out at a step: completed, but not through.
    (5, 5, 'mixed', 1, 'completed', 'held_out', timestamptz '2026-02-20 12:00:00Z', false, 1, false, false, 0, 'live'),
    (6, 6, 'mixed', 1, 'completed', 'inactive', timestamptz '2026-02-20 12:00:00Z', false, 3, false, false, 0, 'live'),
    (7, 7, 'mixed', 1, 'completed', null, timestamptz '2026-02-20 12:00:00Z', false, 1, true, false, 0, 'import'),
    -- Stopped by an answer that is known by address only; stopped by a bounce; running.
    (8, 8, 'mixed', 1, 'exited', 'replied', timestamptz '2026-02-20 12:00:00Z', false, 0, true, false, 0, 'live'),
    (9, 9, 'mixed', 1, 'exited', 'bounced', timestamptz '2026-02-20 12:00:00Z', false, 1, false, false, 0, 'live'),
    (10, 10, 'mixed', 1, 'paused', null, null, false, 1, false, false, 0, 'live'),
    -- All its money is in a currency without a rate.
    (11, 10, 'pounds', 1, 'exited', 'stopped', timestamptz '2026-02-20 12:00:00Z', false, 0, false, true, null, 'live')
) as t (
    enrollment_id, lead_id, sequence_id, entry_no, status, end_reason, ended_at, is_holdout, count_sends, was_replied,
    was_converted, revenue, origin
);

insert into marts.time_to_conversion by name
select
    enrollment_id, lead_id, sequence_id, is_holdout, enrolled_on as started_on,
    -- Of the others it is known how long they did not.
    coalesce(days, 30) as duration_days, days is not null as is_converted, enrollment_id = 6 as was_won_before_contact
from marts.enrollments
-- 9 converted long after its goal's time, 6 had before: it counts with 0 days where it is not left out.
left join (values (1, 2.5), (2, 7), (3, 1), (6, 0), (9, 60), (11, 3)) as t (enrollment_id, days) using (enrollment_id);

insert into marts.sends by name
select
    *, 'v1' as version, enrollment_id as lead_id, 'ann' as sender, 'live' as origin,
    case when was_sent then date '2026-02-27' + cast(send_id as integer) end as sent_on,
    case when was_sent then timestamptz '2026-02-27 12:00:00Z' + interval (send_id) day end as handed_over_at,
    false as is_delivery_inferred, was_clicked or send_id = 5 as was_clicked_any, was_replied or send_id in (3, 8) as was_replied_any,
    case
        when was_sent and channel not in ('task', 'webhook')
            then row_number() over (partition by enrollment_id, was_sent, channel in ('task', 'webhook') order by send_id)
    end as position,
    if(channel = 'email', 'templates/' || coalesce(variant, 'hello') || '.md', sequence_id || '/' || step_id) as template,
    -- 1 and 2 share an order, 3 is in euros and without a price, 10 was reversed; the text cost nothing.
    case send_id when 1 then 0.01 when 2 then 0 when 7 then 0.02 end as cost,
    case send_id when 1 then 0.25 when 2 then 0.75 when 3 then 1 when 10 then 1 else 0 end as attributed_conversions,
    case send_id when 1 then 30.0625 when 2 then 90.1875 when 10 then 0 else 0 end as attributed_revenue
from (
    values
    (1, 1, 'twice', 'hello', 0, 'email', 'a', 'handed_over', true, true, true, true, true, false, false, false, false, true),
    (2, 1, 'twice', 'nudge', 1, 'sms', null, 'handed_over', true, true, false, false, false, true, false, false, true, false),
    (3, 5, 'mixed', 'hello', 0, 'email', 'b', 'handed_over', true, false, false, true, false, false, true, false, false, false),
    -- A human clicked it and no receipt came: not of the delivered.
    (4, 6, 'mixed', 'hello', 0, 'email', 'b', 'handed_over', true, false, true, true, true, false, false, false, false, false),
    (5, 6, 'mixed', 'letter', 1, 'form', null, 'handed_over', true, true, false, false, false, false, false, false, false, false),
    (6, 6, 'mixed', 'chore', 2, 'task', null, 'handed_over', true, true, false, false, false, false, false, false, false, false),
    (7, 7, 'mixed', 'hello', 0, 'email', null, 'handed_over', true, true, true, true, false, false, false, true, true, false),
    -- Refused at once, with a bounce: never sent.
    (8, 9, 'mixed', 'hello', 0, 'email', 'a', 'refused', false, false, false, false, false, false, true, false, false, false),
    -- Nobody knows whether it went out, and yet it was answered in every way.
    (9, 10, 'mixed', 'ring', 3, 'call', null, 'unknown', false, false, true, true, true, true, true, true, true, false),
    -- A machine's answer is no contact's.
    (10, 11, 'pounds', 'hook', 0, 'webhook', null, 'handed_over', true, true, true, true, true, false, false, false, true, true)
) as t (
    send_id, enrollment_id, sequence_id, step_id, step_ix, channel, variant, status, was_sent, was_delivered, was_opened,
    was_opened_any, was_clicked, was_replied, was_bounced, was_complained, was_unsubscribed, was_converted
);

insert into marts.engagement by name
select
    send_id, enrollment_id, lead_id, sequence_id, step_id, channel, origin, handed_over_at, sent_on, send_id % 7 as weekday,
    send_id % 24 as hour, was_opened, 90.0 * send_id as open_seconds, was_clicked, 3600.0 * send_id as click_seconds,
    was_replied, 5400.0 * send_id as reply_seconds
from marts.sends
where was_sent and channel in ('email', 'sms');

insert into marts.conversions by name
select
    *, date '2026-03-05' + cast(conversion_id as integer) as converted_on, 'live' as origin, revenue is not null as has_rate,
    conversion_id = 3 as is_of_holdout, false as is_late, false as is_before_enrollment
from (
    values
    (1, 1, 'sale', 'USD', false, 120.25), (2, 3, 'sale', 'USD', false, 50), (3, 10, 'sale', 'GBP', false, null),
    (4, 5, 'sale', 'EUR', true, 0), (5, 12, 'demo', 'USD', false, 99.5), (6, 12, 'call', 'CHF', false, null)
) as t (conversion_id, lead_id, goal_name, currency, is_reversed, revenue);

insert into marts.deliverability by name
select *, count_refused as count_bounced_at_once, 0 as count_delivery_inferred
from (
    values
    ('ann', 'email', 'ten.example', date '2026-03-01', 4, 1, 0, 3, 2, 1, 0, 0, 1, 1),
    ('ann', 'email', '(few)', date '2026-03-09', 2, 2, 0, 0, 0, 0, 0, 0, 0, 0),
    (null, 'sms', '(none)', date '2026-03-09', 3, 0, 1, 2, 0, 0, 1, 1, 0, 0)
) as t (
    sender, channel, recipient_domain, sent_on, count_attempted, count_refused, count_unknown, count_sent, count_delivered,
    count_bounced, count_pending, count_lost, count_complained, count_unsubscribed
);

insert into marts.funnel_steps by name
select *, 'v1' as version
from (
    values
    ('mixed', 0, 'hello', 'email', 'a', 3, 2, 1, 0, 0), ('mixed', 0, 'hello', 'email', null, 2, 0, 1, 1, 0),
    ('twice', 0, 'hello', 'email', null, 1, 1, 0, 0, 0), ('twice', 1, 'nudge', 'sms', null, 4, 1, 1, 1, 1),
    -- Ghosts only.
    ('held', 0, 'hello', 'email', null, 0, 0, 0, 0, 0)
) as t (
    sequence_id, step_ix, step_id, channel, variant, count_entered, count_sent, count_skipped, count_postponed, count_refused
);

insert into marts.step_endings by name
select *, 'v1' as version
from (
    values
    ('mixed', 0, 'hello', 'email', 'bounced', true, 2), ('mixed', 0, 'hello', 'email', 'active', false, 1),
    -- Lost before any step; nobody stands at the nudge of the other one.
    ('mixed', -1, '(before the first)', null, 'stopped', true, 1), ('twice', 0, 'hello', 'email', 'converted', false, 1)
) as t (sequence_id, step_ix, step_id, channel, ended_as, is_dropped, count_enrollments);

insert into marts.operations by name
select *, cast(hour_at as date) as worked_on
from (
    values
    ('mixed', timestamptz '2026-03-01 10:00:00Z', 3, 4, 1), ('mixed', timestamptz '2026-03-09 10:00:00Z', 2, 0, 0),
    ('twice', timestamptz '2026-03-01 10:00:00Z', 1, 0, 0)
) as t (sequence_id, hour_at, count_steps, count_attempts, count_failed_attempts);

insert into marts.backlog by name
select *
from (
    values ('mixed', 4, 1, 2, 1, 0), ('twice', 0, 0, 0, 0, 0), ('held', 3, 0, 9, 0, 2)
) as t (sequence_id, count_due, count_retry_due, count_scheduled, count_in_flight, count_paused);

insert into marts.sequence_leaderboard by name
select *
from (values ('mixed', 'spring'), ('twice', 'spring'), ('pounds', null), ('held', 'autumn')) as t (sequence_id, campaign);
