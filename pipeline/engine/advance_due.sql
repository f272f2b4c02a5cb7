-- Second half of a move: the delay (of the arm, where the delay is on trial), the due time, the row of `live`.

insert into live by name
with delays as (
    select
        t.*,
        a.arm as next_arm,
        coalesce(r.delay_unit, t.delay_unit) as unit,
        coalesce(r.delay_amount, t.delay_amount) as amount,
        case coalesce(r.delay_since, t.delay_since)
            when 'enrollment' then coalesce(f.starts_at, t.enrolled_at)
            else t.settled_at
        end as delay_anchor
    from stepping as t
    left join (
        select
            enrollment_id,
            starts_at
        from enrollments
        where starts_at is not null
    ) as f on t.enrollment_id = f.enrollment_id
    left join assigned as a on t.enrollment_id = a.enrollment_id
    left join arm_range as r
        on t.version_id = r.version_id and t.next_ix = r.step_ix and a.arm = r.arm and t.varies = 'delay'
),

-- Whoever moves at one moment by one delay in one zone is due at one moment: the calendar is asked once for all of them.
moments as (
    select distinct
        next_zone,
        holidays,
        unit,
        amount,
        delay_anchor
    from delays
    where unit != 'seconds'
),

-- Wall time by the same periods as the way back: DuckDB brings a zone database of its own, of another year.
local_times as (
    select
        m.*,
        timezone('UTC', m.delay_anchor) + to_seconds(p.offset_seconds) as anchor_local
    from moments as m
    inner join zone_period as p
        on m.next_zone = p.zone and m.delay_anchor >= p.from_at and m.delay_anchor < p.to_at
),

local_due as (
    select
        t.*,
        case
            when t.unit = 'days' then t.anchor_local + to_days(t.amount)
            -- Where there are holidays, business days are counted one by one.
            when w.day is not null
                then w.day + (t.anchor_local - date_trunc('day', t.anchor_local))
            -- From the last business day at or before the anchor, weeks of five days.
            else
                anchor_local
                + to_days(
                    least(isodow(anchor_local), 5) - isodow(anchor_local)
                    + amount
                    + 2 * ((least(isodow(anchor_local), 5) - 1 + amount) // 5)
                )
        end as due_local
    from local_times as t
    asof left join business_day as b on t.holidays = b.holidays and t.anchor_local >= b.day
    left join business_day as w on b.holidays = w.holidays and b.number + t.amount = w.number
),

-- R2: an overlap has two instants with this wall time, the first counts; a gap has none, its end counts.
instants as (
    select
        d.next_zone,
        d.holidays,
        d.unit,
        d.amount,
        d.delay_anchor,
        coalesce(
            min(u.instant) filter (where u.instant >= p.from_at and u.instant < p.to_at),
            min(p.from_at) filter (where u.instant < p.from_at)
        ) as due_instant
    from local_due as d
    inner join zone_period as p on d.next_zone = p.zone
    cross join
        lateral (
            select timezone('UTC', d.due_local - to_seconds(p.offset_seconds)) as instant
        ) as u
    group by d.next_zone, d.holidays, d.unit, d.amount, d.delay_anchor
),

timed as (
    select
        d.*,
        greatest(
            coalesce(i.due_instant, d.delay_anchor + to_seconds(d.amount)),
            d.settled_at
        ) as next_due_at
    from delays as d
    left join instants as i
        on
            d.next_zone = i.next_zone
            and d.unit = i.unit
            and d.amount = i.amount
            and d.delay_anchor = i.delay_anchor
            and d.holidays is not distinct from i.holidays
)

select
    enrollment_id,
    lead_id,
    version_id,
    next_ix as step_ix,
    'waiting' as status,
    next_due_at as due_at,
    -- What is waited for may be there already: the planner looks at once, and again at the time-out.
    case when kind = 'wait_for' then enrolled_at else next_due_at end as slot_at,
    settled_at as anchor_at,
    enrolled_at,
    next_zone as zone,
    is_holdout,
    is_paused,
    false as is_ended,
    case when varies != 'content' then next_arm end as arm,
    null as send_id,
    0 as attempts,
    sent_mask,
    opened_mask,
    clicked_mask,
    has_replied,
    has_converted,
    count_sends
from timed;
