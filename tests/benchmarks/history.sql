-- A ledger with half a year behind it: $count enrollments of as many leads, three messages each, ten events each.
-- Versions of the twenty sequences are 1 to 20. Everything is appended in the order of time, as the engine would.

create or replace temp table person as
with numbered as (
    select
        i + 1 as enrollment_id,
        ((i + 1) * 900719925473) % 4503599627370496 as lead_id,
        ($seed::bigint << 40) + i * 32 as place,
    from range($count) as r (i)
),

drawn as (
    select
        *,
        1 + (hash(place + 1) >> 1)::bigint % 20 as version_id,
        1 + (hash(place + 2) >> 1)::bigint % 5 as count_steps,
        (hash(place + 3) >> 1)::bigint % 1000 as end_draw,
        (hash(place + 4) >> 1)::bigint % 10 as holdout_draw,
        (hash(place + 5) >> 1)::bigint as send_draw,
        $zones[1 + (hash(place + 6) >> 1)::bigint % len($zones)] as zone,
        ['US', 'CA', 'DE', 'FR', 'GB', 'BR', 'IN', 'AU'][1 + (hash(place + 7) >> 1)::bigint % 8] as country,
    from numbered
)

select
    *,
    's' || lpad(version_id::varchar, 2, '0') as sequence_id,
    version_id % 10 = 2 and holdout_draw = 0 as is_holdout,
    -- The last step of everybody is past, with what follows it within eight days.
    $now - to_days(14) - to_seconds(($count - enrollment_id) * 14256000 // $count) as enrolled_at,
from drawn;

create or replace temp table message as
select
    row_number() over (order by p.enrolled_at + to_hours(30 * g.ix::int), p.enrollment_id) as send_id,
    p.enrollment_id,
    p.lead_id,
    p.version_id,
    p.sequence_id,
    g.ix::smallint as step_ix,
    case when g.ix in (1, 3) then 'sms' else 'email' end as channel,
    p.zone,
    p.enrolled_at + to_hours(30 * g.ix::int) + to_minutes(5) as claimed_at,
    (hash(p.place + 8 + g.ix) >> 1)::bigint as draw,
    -- Of a hundred: three refused, two tried again first.
    draw % 100 < 3 as is_refused,
    draw % 100 between 3 and 4 as is_retried,
    claimed_at + to_seconds(1 + draw // 100 % 50 + case when is_retried then 300 else 0 end) as settled_at,
from person as p
cross join range(5) as g (ix)
where g.ix < p.count_steps and not p.is_holdout;

insert into leads by name
select
    lead_id,
    enrolled_at - to_seconds(60) as created_at,
    sequence_id as source,
    country,
    zone as timezone,
    '{}' as attributes,
    'live' as origin,
    created_at as updated_at,
    enrollment_id as change_no,
    /*others*/
from person
order by enrollment_id;

insert into identities by name
select
    lead_id,
    'u' || lead_id || '@example.com' as email,
    '+1' || lead_id as phone,
    'Ann' as first_name,
    '{}' as details,
    /*others*/
from person
order by enrollment_id;

insert into enrollments by name
select
    enrollment_id,
    lead_id,
    sequence_id,
    version_id,
    1 as entry_no,
    enrolled_at,
    'rule' as enrolled_by,
    is_holdout,
    'live' as origin,
    /*others*/
from person
order by enrollment_id;

insert into sends by name
select
    send_id,
    enrollment_id,
    lead_id,
    version_id,
    step_ix,
    case when step_ix = 0 and version_id % 5 = 2 then if(enrollment_id % 2 = 0, 'a', 'b') end as variant,
    channel,
    case when channel = 'sms' then 'text' else 'sales' end as sender,
    claimed_at,
    claimed_at - to_seconds(draw // 5000 % 600) as slot_at,
    zone,
    timezone(zone, claimed_at)::date as local_on,
    'live' as origin,
    case when channel = 'email' then 'example' || draw // 100 % 50 || '.com' end as recipient_domain,
    /*others*/
from message
order by send_id;

insert into send_outcomes by name
select
    *,
    /*others*/
from (
    select
        send_id,
        settled_at,
        if(is_refused, 'refused', 'handed_over') as status,
        if(is_refused, '550 no', null) as reason,
        if(is_retried, 2, 1) as attempt,
        '<' || send_id || '@example.com>' as message_id,
    from message
    union all by name
    select
        send_id,
        settled_at - to_seconds(300) as settled_at,
        'retry' as status,
        '451 later' as reason,
        1 as attempt,
        settled_at as next_attempt_at,
    from message
    where is_retried
) as each
order by settled_at;

-- Each message was planned, a third of them twice; every fifth enrollment has a step that its condition left out.
insert into why by name
select
    *,
    /*others*/
from (
    select
        claimed_at as planned_at,
        enrollment_id,
        version_id,
        step_ix,
        'claimed' as outcome,
        null as reason,
        null as until_at,
        send_id,
        1 as attempt,
    from message
    union all by name
    select
        claimed_at - to_hours(8) as planned_at,
        enrollment_id,
        version_id,
        step_ix,
        'postponed' as outcome,
        'window' as reason,
        claimed_at as until_at,
    from message
    where draw // 1000 % 3 = 0
    union all by name
    select
        enrolled_at + to_hours(30 * count_steps::int) as planned_at,
        enrollment_id,
        version_id,
        count_steps as step_ix,
        'skipped' as outcome,
        'condition' as reason,
    from person
    where not is_holdout and end_draw % 5 = 0
    union all by name
    select
        enrolled_at + to_minutes(5) as planned_at,
        enrollment_id,
        version_id,
        0 as step_ix,
        'held_out' as outcome,
        'holdout' as reason,
    from person
    where is_holdout
) as each
order by planned_at;

-- What came of a message: a receipt, opens by programs and by people, clicks, answers, complaints.
insert into events by name
with kinds as (
    select *
    from (
        values
        ('delivered', 'human', 960, 1, 30),
        ('opened', 'machine', 900, 2, 60),
        ('opened', 'human', 500, 3, 40000),
        ('clicked', 'human', 250, 1, 50000),
        ('clicked', 'machine', 150, 1, 70),
        ('replied', 'human', 40, 1, 90000),
        ('bounced', 'human', 20, 1, 100),
        ('unsubscribed', 'human', 6, 1, 80000),
        ('complained', 'human', 1, 1, 85000)
    ) as t (kind, verdict, per_mille, times, until_seconds)
),

happened as (
    select
        m.send_id * 100 + k.per_mille % 89 + g.again as event_id,
        k.kind,
        k.verdict,
        m.settled_at + to_seconds(1 + (hash(m.draw, k.per_mille, g.again) >> 1)::bigint % k.until_seconds) as occurred_at,
        m.lead_id,
        m.enrollment_id,
        m.send_id,
        m.step_ix,
    from message as m
    cross join kinds as k
    cross join range(3) as g (again)
    where
        not m.is_refused
        and g.again < k.times
        and (hash(m.draw, k.per_mille) >> 1)::bigint % 1000 < k.per_mille
        and (m.channel = 'email' or k.kind not in ('opened', 'complained'))
    union all by name
    -- One of sixteen buys, held-out people as well.
    select
        enrollment_id * -1 as event_id,
        'converted' as kind,
        'human' as verdict,
        enrolled_at + to_seconds(7200 + send_draw % 1000000) as occurred_at,
        lead_id,
        'sale' as name,
        (5 + send_draw // 1000 % 200)::decimal(18, 4) as value,
        'USD' as currency,
    from person
    where end_draw < 62
)

select
    *,
    occurred_at + to_seconds(1) as received_at,
    1 as verdict_version,
    if(send_id is null, 'tracker', 'webhook:mail') as source,
    'live' as origin,
    /*others*/
from happened
order by received_at;

insert into enrollment_ends by name
select
    enrollment_id,
    case
        when end_draw < 62 then enrolled_at + to_seconds(7200 + send_draw % 1000000)
        else enrolled_at + to_days(7)
    end as ended_at,
    case when is_holdout then 'exited' when end_draw < 62 then 'converted' when end_draw < 150 then 'exited' else 'completed' end
        as status,
    case when is_holdout then 'held_out' when end_draw < 62 then 'sale' when end_draw < 150 then 'unsubscribed' end as reason,
    /*others*/
from person
where is_holdout or end_draw < 800
order by ended_at;

insert into assignments by name
select
    't' || lpad(version_id::varchar, 2, '0') as experiment_id,
    lead_id as unit_id,
    if(enrollment_id % 2 = 0, 'a', 'b') as arm,
    0.5 as probability,
    enrolled_at as assigned_at,
    enrollment_id,
    'hash' as reason,
    /*others*/
from person
where not is_holdout and (version_id % 5 = 2 or (version_id % 5 = 3 and count_steps > 2))
order by assigned_at;

insert into live by name
select
    enrollment_id,
    lead_id,
    version_id,
    count_steps as step_ix,
    'waiting' as status,
    enrolled_at + to_days(300) as due_at,
    due_at as slot_at,
    enrolled_at as anchor_at,
    enrolled_at,
    zone,
    is_holdout,
    false as is_paused,
    false as is_ended,
    0 as attempts,
    (1::bigint << count_steps) - 1 as sent_mask,
    0 as opened_mask,
    0 as clicked_mask,
    false as has_replied,
    false as has_converted,
    count_steps as count_sends,
    /*others*/
from person
where not is_holdout and end_draw >= 800
order by enrollment_id;

select setval('change_numbers', $count + 1);
select setval('enrollment_ids', $count + 1);
select setval('send_ids', $count * 5 + 1);

drop table message;
drop table person;
