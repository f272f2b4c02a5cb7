-- What the end of a pause gives back (R6). In: temp table `resuming` (enrollment_id, paused_at, until_at), of which each row
-- is one pause over one enrollment. Out: due times moved by the time in which nothing else held it up.

-- What is still in force is left to its own end. Nothing is given back for the time before the step was open.
create or replace temp table resumed as
with held as (
    select
        r.enrollment_id,
        min(p.paused_at) as held_from
    from resuming as r
    inner join live as v on r.enrollment_id = v.enrollment_id
    inner join sequence_versions as q on v.version_id = q.version_id
    inner join pauses as p
        on
            p.resumed_at is null
            and (p.scope = 'everything' or (p.scope = 'sequence' and q.sequence_id = p.name))
    group by r.enrollment_id
),

themselves as (
    select
        r.enrollment_id,
        min(e.paused_at) as held_from
    from resuming as r
    inner join enrollment_pauses as e on r.enrollment_id = e.enrollment_id and e.resumed_at is null
    group by r.enrollment_id
),

spans as (
    select
        r.enrollment_id,
        greatest(r.paused_at, v.anchor_at) as from_at,
        least(r.until_at, h.held_from, t.held_from) as to_at
    from resuming as r
    inner join live as v on r.enrollment_id = v.enrollment_id
    left join held as h on r.enrollment_id = h.enrollment_id
    left join themselves as t on r.enrollment_id = t.enrollment_id
)

select
    enrollment_id,
    greatest(from_at, to_at) - from_at as moved_by
from spans;

update live set
    due_at = live.due_at + r.moved_by,
    slot_at = live.slot_at + r.moved_by
from resumed as r
where live.enrollment_id = r.enrollment_id and r.moved_by > interval 0 second;
