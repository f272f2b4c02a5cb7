-- Decides about everybody who wants to enter a sequence of this round (R18): of a campaign a lead is in one sequence at a
-- time, so that a round has one sequence of each campaign. In: temp tables `taking`, `rivals`, `wanting`. Out: rows of
-- `entering`, `entry_waits`, answers to `commands`.

-- Who is in another sequence of the campaign, or has just entered one.
create or replace temp table occupied as
with minding as (
    select lead_id
    from wanting
    union
    select lead_id
    from entry_waits
)

select
    r.sequence_id,
    v.lead_id
from live as v
semi join minding as m on v.lead_id = m.lead_id
inner join sequence_versions as q on v.version_id = q.version_id
inner join rivals as r on q.sequence_id = r.rival_id
where not v.is_ended
union
select
    r.sequence_id,
    n.lead_id
from entering as n
inner join rivals as r on n.sequence_id = r.rival_id;

create or replace temp table deciding as
with wanted as (
    select
        w.*,
        w.command_id is not null as is_command,
        t.place,
        t.version_id,
        t.reenter,
        t.cooldown_seconds,
        t.room,
        t.holdout,
        t.goal_name
    from wanting as w
    inner join taking as t on w.sequence_id = t.sequence_id
),

entries as (
    select e.*
    from enrollments as e
    semi join wanted as w on e.sequence_id = w.sequence_id and e.lead_id = w.lead_id
),

ends as (
    select x.*
    from enrollment_ends as x
    semi join entries as e on x.enrollment_id = e.enrollment_id
),

earlier as (
    select
        e.sequence_id,
        e.lead_id,
        max(e.entry_no) as entries,
        -- What another tool began and never ended does not run here.
        bool_or(e.origin = 'live' and x.enrollment_id is null) as is_running,
        max(coalesce(x.ended_at, e.enrolled_at)) as last_at
    from entries as e
    left join ends as x on e.enrollment_id = x.enrollment_id
    group by e.sequence_id, e.lead_id
),

blocked as (
    select p.lead_id
    from suppressions as p
    where p.reason = 'do_not_contact' and p.channel is null and p.sequence_id is null
),

converted as (
    select distinct
        w.sequence_id,
        e.lead_id
    from events as e
    inner join wanted as w on e.lead_id = w.lead_id
    where w.reenter = 'auto' and e.kind = 'converted' and (w.goal_name is null or e.name = w.goal_name)
)

select
    w.*,
    coalesce(r.entries, 0) as entries,
    case
        when w.lead_id in (select lead_id from blocked) then 'do_not_contact'
        when r.is_running then 'running'
        when r.lead_id is null then null
        when not w.is_command and w.reenter = 'never' then 'once'
        when r.last_at + to_seconds(w.cooldown_seconds) > $now then 'cooldown'
        when w.is_command then null
        when v.lead_id is not null then 'converted'
        when w.enrolled_by != 'event' and x.lead_id is null then 'once'
    end as stopped_by,
    o.lead_id is not null as is_occupied,
    case
        -- By a hash of its own: whom the workspace holds out, every sequence holds out.
        when
            ('0x' || md5($salt || ':workspace_holdout:' || w.lead_id)[:13])::bigint
            / 4503599627370496.0 < $workspace_holdout then 'workspace'
        when
            ('0x' || md5($salt || ':holdout:' || w.sequence_id || ':' || w.lead_id)[:13])::bigint
            / 4503599627370496.0 < w.holdout then 'sequence'
    end as held_out_by,
    held_out_by is not null as is_holdout
from wanted as w
left join earlier as r on w.sequence_id = r.sequence_id and w.lead_id = r.lead_id
left join occupied as o on w.sequence_id = o.sequence_id and w.lead_id = o.lead_id
left join converted as v on w.sequence_id = v.sequence_id and w.lead_id = v.lead_id
left join rule_exits as x on w.sequence_id = x.sequence_id and w.lead_id = x.lead_id;

-- Whoever is free now enters, or fits no longer; the others go on waiting.
delete from entry_waits
where
    $takes_waiting
    and sequence_id in (select sequence_id from taking)
    and (sequence_id, lead_id) not in (
        select (
            sequence_id,
            lead_id
        )
        from occupied
    );

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
using deciding as d
where
    rule_exits.sequence_id = d.sequence_id
    and rule_exits.lead_id = d.lead_id
    and not d.is_command
    and not (d.stopped_by is null and d.is_occupied);

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
    qualify row_number() over (partition by sequence_id, lead_id order by requested_at, command_id) = 1
),

chosen as (
    select * from requested
    union all
    select f.*
    from free as f
    anti join requested as r on f.sequence_id = r.sequence_id and f.lead_id = r.lead_id
    where not f.is_command
)

select
    c.*,
    -- Holdouts take no place, and beyond the last place nobody is held out either.
    count(*) filter (where not c.is_holdout) over (
        partition by c.sequence_id
        order by c.requested_at nulls last, c.command_id, c.created_at, c.lead_id
        rows between unbounded preceding and 1 preceding
    ) as count_before
from chosen as c;

insert into entering by name
select
    lead_id,
    created_at,
    sequence_id,
    place,
    version_id,
    entries + 1 as entry_no,
    is_holdout,
    held_out_by,
    enrolled_by,
    command_id,
    starts_at
from placed
where count_before < room;

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
            when p.count_before >= p.room then 'max_leads'
            -- An earlier request of the lead has enrolled it.
            else 'running'
        end as reason
    from deciding as d
    left join placed as p on d.sequence_id = p.sequence_id and d.lead_id = p.lead_id and p.is_command
    where d.is_command and (d.command_id is distinct from p.command_id or p.count_before >= p.room)
) as d
where commands.command_id = d.command_id;
