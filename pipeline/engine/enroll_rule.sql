-- Who wants to enter one sequence by its rule: leads that came or changed since the rule last looked, and those that
-- wait. Out: rows of the temp table `wanting`.

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
        l.origin = 'live'
        and (
            l.change_no > $after_change
            or l.lead_id in (
                select lead_id
                from entry_waits
                where $takes_waiting and sequence_id = $this_sequence
            )
        )
)

select
    $this_sequence as sequence_id,
    c.lead_id,
    c.created_at,
    'rule' as enrolled_by
from candidates as c
where /*enroll_when*/ true;
