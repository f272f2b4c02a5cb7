-- Which leads of an account have come to its test, so that their outcomes are the account's. In: temp tables `assigned`,
-- `account_of`.

insert into account_leads by name
select
    a.experiment_id,
    a.unit_id,
    a.lead_id,
    a.enrollment_id,
    a.drawn_at as joined_at
from assigned as a
semi join account_of as o on a.enrollment_id = o.enrollment_id
anti join account_leads as m on a.experiment_id = m.experiment_id and a.lead_id = m.lead_id
where a.reason in ('hash', 'winner', 'stored')
qualify row_number() over (partition by a.experiment_id, a.lead_id order by a.drawn_at, a.enrollment_id) = 1;
