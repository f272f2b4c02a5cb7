-- Takes the movers out of `live`. In: temp tables `movers`, `places`. Out: temp table `moving`, anchored where the open
-- step was, `moved_by` with the time in which a pause that is over held them up; rows of `migrations`, `moved_sends`.

delete from movers where fate != 'moves';

insert into migrations by name
select
    enrollment_id,
    $now as migrated_at,
    version_id as from_version_id,
    step_ix as from_step_ix,
    $version_id as to_version_id,
    new_ix as to_step_ix
from movers;

-- What a later event of an earlier message is about, in the numbers of the version that the enrollment is on now.
create or replace temp table placed as
select
    s.send_id,
    s.step_ix,
    coalesce(p.new_ix, -1) as new_ix
from placed_sends as s
inner join movers as m on s.enrollment_id = m.enrollment_id
left join places as p on m.version_id = p.version_id and s.step_ix = p.step_ix;

delete from moved_sends
using placed as p
where moved_sends.send_id = p.send_id;

insert into moved_sends by name
select
    p.send_id,
    p.new_ix as step_ix
from placed as p
inner join sends as s on p.send_id = s.send_id
where s.step_ix != p.new_ix;

create or replace temp table moved_by as
with halts as (
    select
        m.enrollment_id,
        m.anchor_at,
        p.paused_at,
        p.resumed_at
    from movers as m
    inner join enrollment_pauses as p on m.enrollment_id = p.enrollment_id
    union all
    select
        m.enrollment_id,
        m.anchor_at,
        p.paused_at,
        p.resumed_at
    from movers as m
    inner join pauses as p on p.scope = 'everything' or (p.scope = 'sequence' and p.name = $sequence_id)
),

-- What is still in force gives back at its own end.
held as (
    select
        enrollment_id,
        min(paused_at) as held_from
    from halts
    where resumed_at is null
    group by enrollment_id
),

spans as (
    select
        h.enrollment_id,
        greatest(h.paused_at, h.anchor_at) as from_at,
        least(h.resumed_at, f.held_from) as to_at
    from halts as h
    left join held as f on h.enrollment_id = f.enrollment_id
    where h.resumed_at is not null
),

-- What overlaps counts once.
counted as (
    select
        enrollment_id,
        to_at,
        greatest(
            from_at,
            max(to_at) over (
                partition by enrollment_id order by from_at, to_at rows between unbounded preceding and 1 preceding
            )
        ) as from_at
    from spans
    where from_at < to_at
)

select
    enrollment_id,
    to_microseconds(sum(epoch_us(to_at) - epoch_us(from_at))::bigint) as span
from counted
where from_at < to_at
group by enrollment_id;

create or replace temp table moving as
with masks as (
    select
        m.enrollment_id,
        bit_or(((m.sent_mask >> p.step_ix) & 1) << p.new_ix) as sent_mask,
        bit_or(((m.opened_mask >> p.step_ix) & 1) << p.new_ix) as opened_mask,
        bit_or(((m.clicked_mask >> p.step_ix) & 1) << p.new_ix) as clicked_mask
    from movers as m
    inner join places as p on m.version_id = p.version_id
    where p.new_ix >= 0
    group by m.enrollment_id
),

goals as (
    select goal_name
    from sequence_versions
    where version_id = $version_id
),

-- Another goal may be reached already.
converted as (
    select distinct m.enrollment_id
    from movers as m
    inner join events as e on m.lead_id = e.lead_id
    inner join goals as g on e.name = g.goal_name
    where e.kind = 'converted' and e.verdict != 'machine' and e.occurred_at >= m.enrolled_at
)

select
    m.enrollment_id,
    m.lead_id,
    $version_id::bigint as version_id,
    m.enrolled_at,
    m.is_holdout,
    m.is_paused,
    m.is_ended,
    k.sent_mask,
    k.opened_mask,
    k.clicked_mask,
    m.has_replied,
    c.enrollment_id is not null as has_converted,
    m.count_sends,
    m.anchor_at as settled_at,
    m.new_ix as next_ix,
    null::varchar as end_status,
    null::varchar as end_reason
from movers as m
inner join masks as k on m.enrollment_id = k.enrollment_id
left join converted as c on m.enrollment_id = c.enrollment_id;

delete from live
using movers as m
where live.enrollment_id = m.enrollment_id;
