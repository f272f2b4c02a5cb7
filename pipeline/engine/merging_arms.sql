-- Stored arms stay, under the kept lead (R14): a unit seen in two arms is outside the analysis. In: $keep, $other, $now.

update assignments set unit_id = $keep
where unit_id = $other;

-- Without an account a lead is its own unit in a test by account, too.
update account_leads set unit_id = $keep
where unit_id = $other;

-- By account: both leads came to the test. The kept one goes on under its own unit.
create or replace temp table crossing as
with arms_of as (
    select
        experiment_id,
        unit_id,
        min_by(arm, assigned_at) as arm
    from assignments
    group by experiment_id, unit_id
)

select
    k.experiment_id,
    k.unit_id,
    o.unit_id as other_unit_id,
    a.arm,
    b.arm as other_arm,
    not exists (
        from account_leads as m
        where m.experiment_id = o.experiment_id and m.unit_id = o.unit_id and m.lead_id != $other
    ) as is_left
from account_leads as k
inner join account_leads as o on k.experiment_id = o.experiment_id
inner join arms_of as a on k.experiment_id = a.experiment_id and k.unit_id = a.unit_id
inner join arms_of as b on o.experiment_id = b.experiment_id and o.unit_id = b.unit_id
where k.lead_id = $keep and o.lead_id = $other;

-- Who has seen both arms has carried them into both units.
insert into assignments by name
select
    experiment_id,
    unit_id,
    other_arm as arm,
    1.0 as probability,
    $now::timestamptz as assigned_at,
    'merge' as reason
from crossing
where arm != other_arm
union all by name
select
    experiment_id,
    other_unit_id as unit_id,
    arm,
    1.0 as probability,
    $now::timestamptz as assigned_at,
    'merge' as reason
from crossing
where arm != other_arm;

-- A unit without a lead of its own is none; the person counts in the other one, of the same arm.
delete from assignments
using crossing as c
where
    assignments.experiment_id = c.experiment_id and assignments.unit_id = c.other_unit_id
    and c.unit_id != c.other_unit_id and c.arm = c.other_arm and c.is_left;

delete from account_leads
using crossing as c
where account_leads.experiment_id = c.experiment_id and account_leads.lead_id = $other;

update account_leads set lead_id = $keep
where lead_id = $other;
