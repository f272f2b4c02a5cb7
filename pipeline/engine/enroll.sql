-- Enrolls the leads of one sequence's rule. Only leads that came or changed since the rule last looked are examined;
-- a rule enrolls a lead once in its life (R18). Out: rows of the temp table `entering`.

insert into entering
with candidates as (
    select
        l.lead_id,
        l.created_at,
        l.source as lead_source,
        l.country as lead_country,
        l.timezone as lead_timezone,
        l.created_at as lead_created_at,
        l.attributes as lead_attributes,
        $now::timestamptz as now_at
    from leads as l
    where l.change_no > $after_change and l.origin = 'live'
),

matching as (
    select
        c.lead_id,
        c.created_at
    from candidates as c
    where /*enroll_when*/ true
),

fresh as (
    select m.*
    from matching as m
    anti join (
        select lead_id
        from enrollments
        where sequence_id = $sequence_id
    ) as e on m.lead_id = e.lead_id
),

drawn as (
    select
        f.*,
        ('0x' || md5($salt || ':holdout:' || $sequence_id || ':' || f.lead_id)[:13])::bigint
        / 4503599627370496.0 < $holdout as is_holdout
    from fresh as f
),

-- Holdouts take no place, and beyond the last place nobody is held out either.
placed as (
    select
        d.*,
        count(*) filter (where not d.is_holdout) over (
            order by d.created_at, d.lead_id rows between unbounded preceding and 1 preceding
        ) as count_before
    from drawn as d
),

chosen as (
    select *
    from placed
    where count_before < $room
    order by created_at, lead_id
)

select
    nextval('enrollment_ids'),
    lead_id,
    $sequence_id,
    $version_id,
    is_holdout
from chosen;
