-- Who of a sequence would move to another version, and how (R19). In: temp table `renamed` (old_id, new_id).
-- Out: temp tables `places` and `movers`.

-- Where each step of any version of the sequence stands in the new one; -1 = nowhere.
create or replace temp table places as
select
    o.version_id,
    o.step_ix,
    o.step_id,
    coalesce(n.step_ix, -1) as new_ix
from steps as o
inner join sequence_versions as q on o.version_id = q.version_id and q.sequence_id = $sequence_id
left join renamed as r on o.step_id = r.old_id
left join steps as n on n.version_id = $version_id and coalesce(r.new_id, o.step_id) = n.step_id;

create or replace temp table movers as
with held_back as (
    select distinct
        w.enrollment_id,
        w.version_id,
        w.step_ix
    from why as w
    inner join send_outcomes as o on w.send_id = o.send_id and w.attempt <= o.attempt
    where o.status = 'withdrawn' and o.reason in ('paused', 'reopened')
),

-- What was decided for good, except about the open step, which a pause may have taken back.
settled as (
    select
        w.enrollment_id,
        max(p.new_ix) as last_ix
    from why as w
    inner join live as v on w.enrollment_id = v.enrollment_id
    inner join places as p on w.version_id = p.version_id and w.step_ix = p.step_ix
    left join held_back as h
        on w.enrollment_id = h.enrollment_id and w.version_id = h.version_id and w.step_ix = h.step_ix
    where
        w.outcome != 'postponed'
        and h.enrollment_id is null
        and (w.version_id != v.version_id or w.step_ix != v.step_ix)
    group by w.enrollment_id
)

select
    v.*,
    p.step_id,
    p.new_ix,
    case
        when v.status != 'waiting' then 'busy'
        when p.new_ix < 0 then 'vanished'
        when s.last_ix >= p.new_ix then 'again'
        else 'moves'
    end as fate
from live as v
inner join places as p on v.version_id = p.version_id and v.step_ix = p.step_ix
left join settled as s on v.enrollment_id = s.enrollment_id
where not v.is_ended and v.version_id != $version_id;
