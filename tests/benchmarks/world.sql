-- A ledger in the middle of its life: $count running enrollments of as many leads, a share of which is due at $now.
-- Versions of the twenty sequences are 1 to 20. History that planning never reads (outcomes, why, events) is left out.

create or replace temp table person as
with numbered as (
    select
        i,
        ($seed::bigint << 40) + i * 32 as place,
    from range($count) as r (i)
),

drawn as (
    select
        i + 1 as enrollment_id,
        ((i + 1) * 900719925473) % 4503599627370496 as lead_id,
        1 + (hash(place + 1) >> 1)::bigint % 20 as version_id,
        ((hash(place + 2) >> 1)::bigint % 6)::smallint as step_ix,
        ((hash(place + 3) >> 1)::bigint % 1000000) / 1e6 as due_draw,
        ((hash(place + 4) >> 1)::bigint % 1000000) / 1e6 as when_draw,
        (hash(place + 5) >> 1)::bigint % 1000 as state_draw,
        -- six bits each: which earlier steps were sent, opened, clicked
        (hash(place + 6) >> 1)::bigint as sent_draw,
        (hash(place + 7) >> 1)::bigint as opened_draw,
        (hash(place + 8) >> 1)::bigint % 1000 as hole_draw,
        (hash(place + 9) >> 1)::bigint % 10 as holdout_draw,
        1 + (hash(place + 10) >> 1)::bigint % len($zones) as zone_no,
        ['US', 'CA', 'DE', 'FR', 'GB', 'BR', 'IN', 'AU'][1 + (hash(place + 11) >> 1)::bigint % 8] as country,
    from numbered
),

placed as (
    select
        d.*,
        d.due_draw < $due_share and d.state_draw >= 5 as is_due,
        -- Paused people have a due time that passed, so that no scan can skip whole stretches of the table.
        d.state_draw < 5 as is_paused,
        d.step_ix = 0 and d.version_id % 10 = 2 and d.holdout_draw = 0 as is_holdout,
        case when d.hole_draw >= 20 then $zones[d.zone_no] end as timezone,
        (1::bigint << d.step_ix) - 1 as earlier_mask,
    from drawn as d
),

-- 19 of 20 unconditional steps were sent, every second of the others.
masked as (
    select
        p.*,
        p.earlier_mask
        & (
            (p.sent_draw % 20 != 0)::bigint
            | ((p.sent_draw // 20 % 20 != 0)::bigint << 1)
            | ((p.sent_draw // 400 % 2 != 0)::bigint << 2)
            | ((p.sent_draw // 800 % 20 != 0)::bigint << 3)
            | ((p.sent_draw // 16000 % 20 != 0)::bigint << 4)
        ) as sent_mask,
    from placed as p
)

select
    m.* exclude (due_draw, sent_draw, opened_draw, earlier_mask),
    m.sent_mask & (m.opened_draw % 64)::bigint as opened_mask,
    m.sent_mask & (m.opened_draw % 64)::bigint & (m.opened_draw // 64 % 64)::bigint as clicked_mask,
    bit_count(m.sent_mask) as count_sends,
    m.is_due and m.step_ix > 0 and m.state_draw between 5 and 34 as is_retry,
    date_trunc(
        'second',
        case
            when m.is_paused then $now - to_seconds(200000 + (m.when_draw * 1000000)::bigint)
            when m.is_due then $now - to_seconds((m.when_draw * m.when_draw * 150000)::bigint)
            else $now + to_seconds(1 + (m.when_draw * 1000000)::bigint)
        end
    ) as slot_at,
    -- When the step before was settled: within the last twenty days.
    least(slot_at, $now) - to_seconds(600 + m.sent_draw // 320000 % 1728000) as anchor_at,
    anchor_at - to_hours(30 * m.step_ix) as enrolled_at,
from masked as m;

insert into leads by name
select
    lead_id,
    enrolled_at as created_at,
    's' || lpad(version_id::varchar, 2, '0') as source,
    country,
    timezone,
    '{}' as attributes,
    'live' as origin,
    enrolled_at as updated_at,
    enrollment_id as change_no,
    /*others*/
from person;

insert into identities by name
select
    lead_id,
    case when hole_draw not between 20 and 29 then 'u' || lead_id || '@example.com' end as email,
    case when hole_draw not between 30 and 49 then '+1' || lead_id end as phone,
    'Ann' as first_name,
    '{}' as details,
    /*others*/
from person;

insert into suppressions by name
select
    lead_id,
    case when hole_draw < 958 then 'email' else 'sms' end as channel,
    case when hole_draw % 2 = 0 then 'unsubscribed' else 'bounced' end as reason,
    enrolled_at as created_at,
    case when hole_draw = 959 then anchor_at end as lifted_at,
    /*others*/
from person
where hole_draw between 930 and 959;

insert into enrollments by name
select
    enrollment_id,
    lead_id,
    's' || lpad(version_id::varchar, 2, '0') as sequence_id,
    version_id,
    1 as entry_no,
    enrolled_at,
    'rule' as enrolled_by,
    is_holdout,
    'live' as origin,
    /*others*/
from person;

-- Sends of earlier steps, thirty hours apart, in the order of time, as they were appended.
insert into sends by name
select
    nextval('send_ids') as send_id,
    enrollment_id,
    lead_id,
    version_id,
    g.ix::smallint as step_ix,
    case when g.ix = 0 and version_id % 5 = 2 then 'a' end as variant,
    case when g.ix in (1, 3) then 'sms' else 'email' end as channel,
    case when g.ix in (1, 3) then 'text' else 'sales' end as sender,
    anchor_at - to_hours(30 * (step_ix - 1 - g.ix)::int) as claimed_at,
    anchor_at - to_hours(30 * (step_ix - 1 - g.ix)::int) as slot_at,
    coalesce(timezone, 'America/New_York') as zone,
    (anchor_at - to_hours(30 * (step_ix - 1 - g.ix)::int))::date as local_on,
    'live' as origin,
    /*others*/
from person
cross join range(5) as g (ix)
where g.ix < step_ix and (sent_mask >> g.ix) & 1 = 1
order by claimed_at;

insert into sends by name
select
    nextval('send_ids') as send_id,
    enrollment_id,
    lead_id,
    version_id,
    step_ix,
    case when step_ix in (1, 3) then 'sms' else 'email' end as channel,
    case when step_ix in (1, 3) then 'text' else 'sales' end as sender,
    slot_at - to_minutes(10) as claimed_at,
    slot_at - to_minutes(10) as slot_at,
    coalesce(timezone, 'America/New_York') as zone,
    (slot_at - to_minutes(10))::date as local_on,
    'live' as origin,
    /*others*/
from person
where is_retry;

-- Who is past a step on trial has its arm, and a few others have one from an earlier life.
insert into assignments by name
select
    't' || lpad(version_id::varchar, 2, '0') as experiment_id,
    lead_id as unit_id,
    case when state_draw % 2 = 0 then 'a' else 'b' end as arm,
    0.5 as probability,
    enrolled_at as assigned_at,
    enrollment_id,
    'hash' as reason,
    /*others*/
from person
where
    (version_id % 5 = 2 and (step_ix > 0 or state_draw between 40 and 49))
    or (version_id % 5 = 3 and (step_ix > 2 or (step_ix = 2 and (is_retry or state_draw between 40 and 49))));

insert into live by name
select
    p.enrollment_id,
    p.lead_id,
    p.version_id,
    p.step_ix,
    case when p.is_retry then 'retry' else 'waiting' end as status,
    case when p.state_draw % 5 = 0 then p.slot_at - to_hours(5) else p.slot_at end as due_at,
    p.slot_at,
    p.anchor_at,
    p.enrolled_at,
    coalesce(p.timezone, 'America/New_York') as zone,
    p.is_holdout,
    p.is_paused,
    false as is_ended,
    r.send_id,
    p.is_retry::smallint as attempts,
    p.sent_mask,
    p.opened_mask,
    p.clicked_mask,
    false as has_replied,
    false as has_converted,
    -- Some have had all that their limit allows, in an earlier version say.
    case when p.state_draw >= 990 then 6 else p.count_sends + p.is_retry::int end as count_sends,
    /*others*/
from person as p
left join sends as r
    on p.is_retry and p.enrollment_id = r.enrollment_id and p.step_ix = r.step_ix;

select setval('change_numbers', $count);

drop table person;
