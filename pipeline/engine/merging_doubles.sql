-- Which running enrollments of two leads end when the two are one. In: $keep, $other, relation `reentry` (sequence_id,
-- cooldown_seconds, is_auto). Out: temp table `ending`, and `doubled`, those that run twice.

create or replace temp table doubled as
with running as (
    select
        v.*,
        q.sequence_id
    from live as v
    inner join sequence_versions as q on v.version_id = q.version_id
    where v.lead_id in ($keep, $other) and not v.is_ended
),

final_outcomes as (
    select
        o.send_id,
        max_by(o.status, (o.attempt, o.settled_at)) as status
    from send_outcomes as o
    inner join sends as d on o.send_id = d.send_id
    where d.lead_id in ($keep, $other)
    group by o.send_id
),

had as (
    select
        d.lead_id,
        d.enrollment_id,
        q.sequence_id,
        s.step_id
    from sends as d
    inner join sequence_versions as q on d.version_id = q.version_id
    inner join steps as s on d.version_id = s.version_id and d.step_ix = s.step_ix
    left join final_outcomes as o on d.send_id = o.send_id
    where d.lead_id in ($keep, $other) and coalesce(o.status, 'claimed') not in ('withdrawn', 'refused', 'retry')
),

-- Who would get what the other lead has had. Where one lead might have entered again by then, it may (R18).
repeating as (
    select distinct
        r.enrollment_id,
        h.enrollment_id as earlier_id
    from running as r
    inner join steps as s on r.version_id = s.version_id and r.step_ix <= s.step_ix
    inner join had as h on r.sequence_id = h.sequence_id and s.step_id = h.step_id and r.lead_id != h.lead_id
    inner join enrollments as e on r.enrollment_id = e.enrollment_id
    left join enrollment_ends as x on h.enrollment_id = x.enrollment_id
    left join reentry as n on r.sequence_id = n.sequence_id
    where not coalesce(
        x.ended_at + to_seconds(n.cooldown_seconds) <= e.enrolled_at
        and (n.is_auto or e.enrolled_by not in ('rule', 'event')),
        false
    )
),

looked_at as (
    select
        r.*,
        p.enrollment_id is not null as is_repeating,
        count(*) over of_sequence as count_running,
        -- Steps have the same places on one version only.
        if(min(r.version_id) over of_sequence = max(r.version_id) over of_sequence, r.step_ix, 0) as progress
    from running as r
    left join (select distinct enrollment_id from repeating) as p on r.enrollment_id = p.enrollment_id
    window of_sequence as (partition by r.sequence_id)
)

select
    enrollment_id,
    sequence_id,
    status,
    count_running,
    is_repeating,
    -- The one further along stays: by the open step where both are on one version, else by contacts.
    row_number() over (
        partition by sequence_id
        order by
            is_repeating, progress desc, count_sends desc, step_ix desc, status != 'waiting' desc, enrolled_at,
            enrollment_id
    ) as place
from looked_at;

create or replace temp table ending as
select
    enrollment_id,
    'exited' as status,
    'merged' as reason
from doubled
where place > 1 or is_repeating;
