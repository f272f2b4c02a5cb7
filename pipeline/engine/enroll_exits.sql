-- Of a sequence with `reenter: auto`: who has been in it, or enters on request, and does not fit its rule. Fitting again
-- it may enroll them again (R18). Out: rows of `rule_exits`.

insert into rule_exits by name
with requested as (
    select lead_id
    from wanting
    where sequence_id = $this_sequence and command_id is not null
),

candidates as (
    select
        l.lead_id,
        l.source as lead_source,
        l.country as lead_country,
        l.timezone as lead_timezone,
        l.created_at as lead_created_at,
        l.attributes as lead_attributes,
        $now::timestamptz as now_at
    from leads as l
    where
        (l.change_no > $after_change and l.origin = 'live')
        or l.lead_id in (select lead_id from requested)
)

select
    $this_sequence as sequence_id,
    c.lead_id
from candidates as c
semi join (
    select lead_id
    from enrollments
    where sequence_id = $this_sequence
    union all
    select lead_id
    from requested
) as e on c.lead_id = e.lead_id
anti join (
    select lead_id
    from rule_exits
    where sequence_id = $this_sequence
) as x on c.lead_id = x.lead_id
where not coalesce((/*enroll_when*/ true), false);
