-- Who is drawn with the others of its account. In: temp table `drawing`, relation `step`. Out: temp table `account_of`, one
-- row per enrollment whose test is by account. The account is the one that the lead had when it was first counted; a lead
-- without one is its own. The first contacted lead of an account in this batch draws for all of them.

create or replace temp table account_of as
with wanted as (
    select
        d.enrollment_id,
        d.experiment_id,
        d.lead_id,
        d.version_id,
        d.step_ix,
        d.sample_share,
        d.is_holdout,
        d.drawn_at,
        coalesce(
            m.unit_id,
            -- Null, and so is the hash, where nothing is written.
            (
                '0x' || md5($salt || ':account:' || nullif(lower(trim(l.attributes ->> s.account_path)), ''))[:13]
            )::bigint,
            d.lead_id
        ) as unit_id
    from drawing as d
    inner join step as s on d.version_id = s.version_id and d.step_ix = s.step_ix
    left join leads as l on d.lead_id = l.lead_id
    left join account_leads as m on d.experiment_id = m.experiment_id and d.lead_id = m.lead_id
    where s.account_path is not null and d.experiment_id is not null
)

select
    enrollment_id,
    unit_id,
    first_value(version_id) over of_account as version_id,
    first_value(step_ix) over of_account as step_ix,
    first_value(sample_share) over of_account as sample_share,
    row_number() over of_account = 1 as is_first
from wanted
window of_account as (
    partition by experiment_id, unit_id
    order by is_holdout, drawn_at, enrollment_id
    rows between unbounded preceding and unbounded following
);
