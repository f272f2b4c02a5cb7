-- Who wants to enter one sequence by itself: leads that came or changed since its rule last looked, and those that ask,
-- as far as they fit. Out: rows of the temp table `wanting`.

insert into wanting by name
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
    where
        (l.change_no > $after_change and l.origin = 'live')
        or l.lead_id in (
            select lead_id
            from asking
            where sequence_id = $this_sequence
        )
)

select
    $this_sequence as sequence_id,
    c.lead_id,
    c.created_at,
    $this_way as enrolled_by
from candidates as c
where /*enroll_when*/ true;
