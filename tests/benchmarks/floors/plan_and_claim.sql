-- The floor of planning and claiming: what somebody writes by hand who knows this one world (`world.py`) and its rules.
-- It writes the same rows as the engine: sends, why, assignments, send_outcomes, enrollment_ends, live.

-- Next opening of each window (three kinds of hours) in each zone: from now, and from tomorrow in the workspace's zone.
create or replace temp table opening as
with hours (kind, opens, closes) as (values (0, 8, 20), (1, 7, 22), (2, 9, 17)),

local as (
    select
        z.zone,
        h.*,
        timezone(z.zone, $now::timestamptz) as now_local,
        timezone(z.zone, $tomorrow::timestamptz) as tomorrow_local,
        -- R2, for the delays 2d, 2bd and 1w: the wall time on a later day.
        timezone(z.zone, $now::timestamptz) + to_days(2) as plus_2d,
        timezone(z.zone, $now::timestamptz) + to_days(7) as plus_1w,
        timezone(z.zone, $now::timestamptz) + to_days(
            least(isodow(now_local), 5) - isodow(now_local) + 2 + 2 * ((least(isodow(now_local), 5) + 1) // 5)
        ) as plus_2bd,
    from (select unnest($zones) as zone) as z
    cross join hours as h
)

select
    zone,
    kind,
    opens,
    closes,
    now_local::date as local_on,
    timezone(zone, plus_2d) as after_2d,
    timezone(zone, plus_2bd) as after_2bd,
    timezone(zone, plus_1w) as after_1w,
    case
        when isodow(now_local) <= 5 and hour(now_local) >= opens and hour(now_local) < closes then $now::timestamptz
        when isodow(now_local) <= 5 and hour(now_local) < opens
            then timezone(zone, date_trunc('day', now_local) + to_hours(opens))
        else timezone(
            zone,
            date_trunc('day', now_local) + to_days(if(isodow(now_local) >= 5, 8 - isodow(now_local), 1)) + to_hours(opens)
        )
    end as now_opens_at,
    case
        when isodow(tomorrow_local) <= 5 and hour(tomorrow_local) >= opens and hour(tomorrow_local) < closes
            then $tomorrow::timestamptz
        when isodow(tomorrow_local) <= 5 and hour(tomorrow_local) < opens
            then timezone(zone, date_trunc('day', tomorrow_local) + to_hours(opens))
        else timezone(
            zone,
            date_trunc('day', tomorrow_local)
            + to_days(if(isodow(tomorrow_local) >= 5, 8 - isodow(tomorrow_local), 1)) + to_hours(opens)
        )
    end as tomorrow_opens_at,
from local;

-- In steps, so that each join knows how many rows it gets, and addresses are read for the survivors only.
create or replace temp table due as
select
    v.*,
    o.* exclude (zone, kind, after_2d, after_2bd, after_1w),
    timezone(v.zone, v.slot_at) as slot_local,
    if(v.step_ix in (1, 3), 'sms', 'email') as channel,
from live as v
inner join opening as o on v.zone = o.zone and v.version_id % 3 = o.kind
where v.slot_at <= $now and v.status != 'in_flight' and not v.is_paused;

create or replace temp table judged as
with known as (
    select d.enrollment_id, l.timezone as lead_timezone, l.country
    from due as d
    inner join leads as l on d.lead_id = l.lead_id
),

slotted as (
    select
        d.* exclude (slot_local, opens, closes),
        case
            when isodow(slot_local) <= 5 and hour(slot_local) >= opens and hour(slot_local) < closes then slot_at
            when isodow(slot_local) <= 5 and hour(slot_local) < opens
                then timezone(zone, date_trunc('day', slot_local) + to_hours(opens))
            else timezone(
                zone,
                date_trunc('day', slot_local)
                + to_days(if(isodow(slot_local) >= 5, 8 - isodow(slot_local), 1)) + to_hours(opens)
            )
        end as true_slot_at,
    from due as d
)

select
    s.*,
    l.lead_timezone,
    case
        when s.now_opens_at > $now then 'window'
        when s.status != 'retry' and $now > s.true_slot_at + interval 24 hour then 'late'
        when
            s.status != 'retry'
            and case s.step_ix
                when 2 then s.sent_mask & 1 = 0 or s.opened_mask & 1 = 1
                when 5
                    then
                        s.sent_mask & 16 = 0 or s.clicked_mask & 16 = 16
                        or l.country is null or l.country not in ('US', 'CA', 'DE')
                else false
            end
            then 'condition'
    end as stopped,
    s.status = 'waiting' and s.send_id is null as is_first,
from slotted as s
left join known as l on s.enrollment_id = l.enrollment_id;

create or replace temp table planned as
with suppressed as (
    select lead_id, channel, min(reason) as reason
    from suppressions
    where lifted_at is null
    group by lead_id, channel
),

addressed as (
    select
        j.enrollment_id,
        if(j.channel = 'email', split_part(i.email, '@', -1), null) as recipient_domain,
    from judged as j
    inner join identities as i on j.lead_id = i.lead_id
    where j.stopped is null and case when j.channel = 'email' then i.email is not null else i.phone is not null end
),

stopped as (
    select
        j.* exclude (stopped),
        a.recipient_domain,
        j.stopped is null and j.is_first and (
            (j.version_id % 5 = 2 and j.step_ix = 0) or (j.version_id % 5 = 3 and j.step_ix = 2)
        ) as is_on_trial,
        coalesce(
            j.stopped,
            p.reason,
            if(a.enrollment_id is null, 'no_address', null),
            if(j.is_first and j.count_sends >= 6, 'lead_cap', null)
        ) as stopped_by,
    from judged as j
    left join suppressed as p on j.lead_id = p.lead_id and j.channel = p.channel
    left join addressed as a on j.enrollment_id = a.enrollment_id
),

used as (
    select version_id, count(*) as used_today
    from sends
    where claimed_at >= $today and version_id % 4 = 0
    group by version_id
),

-- A ghost waits behind those before it and takes no place.
capped as (
    select
        s.enrollment_id,
        s.is_holdout::int + count(*) filter (where not s.is_holdout) over (
            partition by s.version_id
            order by s.count_sends = 0, s.due_at, s.enrollment_id
            rows between unbounded preceding and current row
        ) + coalesce(u.used_today, 0) > $per_day as is_capped,
    from stopped as s
    left join used as u on s.version_id = u.version_id
    where s.version_id % 4 = 0 and s.stopped_by is null and s.is_first
),

stored as (
    select a.experiment_id[2:]::bigint as version_id, a.unit_id, min_by(a.arm, a.assigned_at) as arm
    from assignments as a
    semi join (select lead_id from stopped where is_on_trial) as t on a.unit_id = t.lead_id
    group by a.experiment_id, a.unit_id
),

decided as (
    select
        s.*,
        case
            when s.stopped_by = 'window' or c.is_capped then 'postponed'
            when s.stopped_by is not null then 'skipped'
            when s.is_holdout then 'held_out'
            else 'claimed'
        end as outcome,
        case
            when s.stopped_by is not null then s.stopped_by
            when c.is_capped then 'sequence_cap'
            when s.is_holdout then 'holdout'
        end as reason,
        t.arm as stored_arm,
        case
            when not s.is_on_trial then null
            when t.arm is not null then t.arm
            when s.is_holdout then '(holdout)'
            when
                ('0x' || md5($salt || ':t' || lpad(s.version_id::varchar, 2, '0') || ':' || s.lead_id)[:13])::bigint
                / 4503599627370496.0 < 0.5
                then 'a'
            else 'b'
        end as variant,
    from stopped as s
    left join capped as c on s.enrollment_id = c.enrollment_id
    left join stored as t on s.is_on_trial and s.version_id = t.version_id and s.lead_id = t.unit_id
)

select
    d.* exclude (send_id),
    d.send_id as old_send_id,
    if(d.outcome = 'claimed', coalesce(d.send_id, nextval('send_ids')), null) as new_send_id,
from decided as d;

insert into sends by name
select
    new_send_id as send_id,
    enrollment_id,
    lead_id,
    version_id,
    step_ix,
    variant,
    channel,
    if(channel = 'sms', 'text', 'sales') as sender,
    $now as claimed_at,
    true_slot_at as slot_at,
    zone,
    local_on,
    'live' as origin,
    recipient_domain,
from planned
where outcome = 'claimed' and old_send_id is null;

insert into why by name
select
    $now as planned_at,
    enrollment_id,
    version_id,
    step_ix,
    outcome,
    reason,
    case reason when 'window' then now_opens_at when 'sequence_cap' then tomorrow_opens_at end as until_at,
    new_send_id as send_id,
    if(outcome = 'claimed', attempts + 1, null) as attempt,
from planned
where status != 'retry';

insert into assignments by name
select
    't' || lpad(version_id::varchar, 2, '0') as experiment_id,
    lead_id as unit_id,
    variant as arm,
    -- A tenth of the second sequence of ten is held out, of which everybody else is half.
    case when version_id % 10 != 2 then 0.5 when is_holdout then 0.1 else 0.45 end as probability,
    $now as assigned_at,
    enrollment_id,
    'hash' as reason,
from planned
where is_on_trial and stored_arm is null;

insert into send_outcomes by name
select
    old_send_id as send_id,
    $now as settled_at,
    'withdrawn' as status,
    reason,
    attempts as attempt,
from planned
where outcome = 'skipped' and status = 'retry';

insert into enrollment_ends
select
    enrollment_id,
    $now,
    'completed',
    if(outcome = 'held_out', 'held_out', null),
from planned
where outcome = 'held_out' or (outcome = 'skipped' and step_ix = 5);

delete from live
using planned as p
where live.enrollment_id = p.enrollment_id;

insert into live by name
with skipped as (
    select
        p.*,
        o.zone as next_zone,
        case p.step_ix
            when 0 then $now::timestamptz + interval 12 hour
            when 1 then o.after_2d
            when 2 then $now::timestamptz + interval 24 hour
            when 3 then o.after_2bd
            when 4 then o.after_1w
        end as next_due_at,
    from planned as p
    inner join opening as o on coalesce(p.lead_timezone, 'America/New_York') = o.zone and o.kind = 0
    where p.outcome = 'skipped' and p.step_ix < 5
)

select
    p.enrollment_id,
    p.lead_id,
    p.version_id,
    p.step_ix,
    if(p.outcome = 'claimed', 'in_flight', p.status) as status,
    p.due_at,
    case
        when p.outcome = 'claimed' then p.true_slot_at
        when p.reason = 'window' then p.now_opens_at
        else p.tomorrow_opens_at
    end as slot_at,
    p.anchor_at,
    p.enrolled_at,
    p.zone,
    p.is_holdout,
    false as is_paused,
    false as is_ended,
    p.arm,
    coalesce(p.new_send_id, p.old_send_id) as send_id,
    p.attempts + (p.outcome = 'claimed')::int as attempts,
    p.sent_mask,
    p.opened_mask,
    p.clicked_mask,
    p.has_replied,
    p.has_converted,
    p.count_sends + (p.outcome = 'claimed' and p.old_send_id is null)::int as count_sends,
from planned as p
where p.outcome in ('claimed', 'postponed')
union all by name
select
    p.enrollment_id,
    p.lead_id,
    p.version_id,
    p.step_ix + 1 as step_ix,
    'waiting' as status,
    p.next_due_at as due_at,
    p.next_due_at as slot_at,
    $now::timestamptz as anchor_at,
    p.enrolled_at,
    p.next_zone as zone,
    p.is_holdout,
    false as is_paused,
    false as is_ended,
    null as arm,
    null as send_id,
    0 as attempts,
    p.sent_mask,
    p.opened_mask,
    p.clicked_mask,
    p.has_replied,
    p.has_converted,
    p.count_sends - (p.status = 'retry')::int as count_sends,
from skipped as p;
