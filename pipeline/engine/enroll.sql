-- Decides about everybody who wants to enter one sequence (R18); of a campaign a lead is in one sequence at a time.
-- In: temp tables `wanting`, `converted`. Out: rows of `entering`, `entry_waits`, answers to `commands`.

-- Who is in another sequence of the campaign, or has just entered one.
create or replace temp table occupied as
select v.lead_id
from live as v
inner join sequence_versions as q on v.version_id = q.version_id
where not v.is_ended and list_contains($rivals, q.sequence_id)
union all
select n.lead_id
from entering as n
where list_contains($rivals, n.sequence_id);

create or replace temp table deciding as
with wanted as (
    select
        *,
        command_id is not null as is_command
    from wanting
    where sequence_id = $this_sequence
),

entries as (
    select e.*
    from enrollments as e
    semi join wanted as w on e.lead_id = w.lead_id
    where e.sequence_id = $this_sequence
),

ends as (
    select x.*
    from enrollment_ends as x
    semi join entries as e on x.enrollment_id = e.enrollment_id
),

earlier as (
    select
        e.lead_id,
        max(e.entry_no) as entries,
        -- What another tool began and never ended does not run here.
        bool_or(e.origin = 'live' and x.enrollment_id is null) as is_running,
        max(coalesce(x.ended_at, e.enrolled_at)) as last_at
    from entries as e
    left join ends as x on e.enrollment_id = x.enrollment_id
    group by e.lead_id
),

blocked as (
    select p.lead_id
    from suppressions as p
    where p.reason = 'do_not_contact' and p.channel is null and p.sequence_id is null
),

exits as (
    select x.lead_id
    from rule_exits as x
    where x.sequence_id = $this_sequence
)

select
    w.*,
    coalesce(r.entries, 0) as entries,
    case
        when w.lead_id in (select lead_id from blocked) then 'do_not_contact'
        when r.is_running then 'running'
        when r.lead_id is null then null
        when not w.is_command and $reenter = 'never' then 'once'
        when r.last_at + to_seconds($cooldown) > $now then 'cooldown'
        when w.is_command then null
        when w.lead_id in (select lead_id from converted) then 'converted'
        when w.enrolled_by != 'event' and w.lead_id not in (select lead_id from exits) then 'once'
    end as stopped_by,
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
left join earlier as r on w.lead_id = r.lead_id;

-- Whoever is free now enters, or fits no longer; the others go on waiting.
delete from entry_waits
where
    sequence_id = $this_sequence
    and $takes_waiting
    and lead_id not in (select lead_id from occupied);

insert into entry_waits by name
select
    d.sequence_id,
    d.lead_id,
    $now as waits_since
from deciding as d
anti join entry_waits as w on d.sequence_id = w.sequence_id and d.lead_id = w.lead_id
where d.stopped_by is null and d.is_occupied and not d.is_command;

-- Who fits the rule again has had the chance, unless it waits.
delete from rule_exits
where
    sequence_id = $this_sequence
    and lead_id in (
        select lead_id
        from deciding
        where not is_command and not (stopped_by is null and is_occupied)
    );

create or replace temp table placed as
with free as (
    select *
    from deciding
    where stopped_by is null and not is_occupied
),

-- The first request of a lead counts, and it comes before whatever else would enroll the lead.
requested as (
    select *
    from free
    where is_command
    qualify row_number() over (partition by lead_id order by requested_at, command_id) = 1
),

chosen as (
    select * from requested
    union all
    select f.*
    from free as f
    anti join requested as r on f.lead_id = r.lead_id
    where not f.is_command
)

select
    c.*,
    -- Holdouts take no place, and beyond the last place nobody is held out either.
    count(*) filter (where not c.is_holdout) over (
        order by c.requested_at nulls last, c.command_id, c.created_at, c.lead_id
        rows between unbounded preceding and 1 preceding
    ) as count_before
from chosen as c;

insert into entering by name
select
    lead_id,
    created_at,
    sequence_id,
    $this_place as place,
    $this_version as version_id,
    entries + 1 as entry_no,
    is_holdout,
    held_out_by,
    enrolled_by,
    command_id,
    starts_at
from placed
where count_before < $room;

update commands set
    decided_at = $now,
    outcome = 'refused',
    reason = d.reason
from (
    select
        d.command_id,
        case
            when d.stopped_by is not null then d.stopped_by
            when d.is_occupied then 'campaign'
            when p.count_before >= $room then 'max_leads'
            -- An earlier request of the lead has enrolled it.
            else 'running'
        end as reason
    from deciding as d
    left join placed as p on d.lead_id = p.lead_id and p.is_command
    where d.is_command and (d.command_id is distinct from p.command_id or p.count_before >= $room)
) as d
where commands.command_id = d.command_id;
