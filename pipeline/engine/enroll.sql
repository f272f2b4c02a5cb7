-- Decides about everybody who wants to enter one sequence. A rule enrolls a lead once in its life (R18); of a campaign
-- a lead is in one sequence at a time. In: temp table `wanting`. Out: rows of `entering`, of `entry_waits`.

create or replace temp table deciding as
with wanted as (
    select *
    from wanting
    where sequence_id = $this_sequence
),

earlier as (
    select e.lead_id
    from enrollments as e
    where e.sequence_id = $this_sequence
),

-- Who is in another sequence of the campaign, or has just entered one.
occupied as (
    select v.lead_id
    from live as v
    inner join sequence_versions as q on v.version_id = q.version_id
    where not v.is_ended and list_contains($rivals, q.sequence_id)
    union all
    select n.lead_id
    from entering as n
    where list_contains($rivals, n.sequence_id)
)

select
    w.*,
    w.lead_id in (select lead_id from occupied) as is_occupied,
    case
        -- By a hash of its own: whom the workspace holds out, every sequence holds out.
        when
            ('0x' || md5($salt || ':workspace_holdout:' || w.lead_id)[:13])::bigint
            / 4503599627370496.0 < $workspace_holdout then 'workspace'
        when
            ('0x' || md5($salt || ':holdout:' || $this_sequence || ':' || w.lead_id)[:13])::bigint
            / 4503599627370496.0 < $holdout then 'sequence'
    end as held_out_by,
    held_out_by is not null as is_holdout
from wanted as w
anti join earlier as e on w.lead_id = e.lead_id;

delete from entry_waits
where
    sequence_id = $this_sequence
    and $takes_waiting
    and lead_id not in (select lead_id from deciding where is_occupied);

insert into entry_waits by name
select
    d.sequence_id,
    d.lead_id,
    $now as waits_since
from deciding as d
anti join entry_waits as w on d.sequence_id = w.sequence_id and d.lead_id = w.lead_id
where d.is_occupied;

insert into entering by name
with placed as (
    select
        d.*,
        -- Holdouts take no place, and beyond the last place nobody is held out either.
        count(*) filter (where not d.is_holdout) over (
            order by d.created_at, d.lead_id rows between unbounded preceding and 1 preceding
        ) as count_before
    from deciding as d
    where not d.is_occupied
)

select
    lead_id,
    created_at,
    sequence_id,
    $this_place as place,
    $this_version as version_id,
    is_holdout,
    held_out_by,
    enrolled_by
from placed
where count_before < $room;
