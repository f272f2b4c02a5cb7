-- The past beside the replay. Out: temp tables `replay_steps` (a row per lead and step with a decision on either side) and
-- `replay_firsts` (a row per lead: its first message).

create or replace temp table replay_told as
select
    'before' as side,
    e.lead_id,
    t.step_id,
    w.outcome,
    w.reason,
    w.planned_at,
    coalesce(w.settled_at, w.planned_at) as decided_at
from past.why_outcomes as w
inner join replay_entry as e on w.enrollment_id = e.enrollment_id
inner join past.steps as t on w.version_id = t.version_id and w.step_ix = t.step_ix
where w.planned_at < $until

union all

select
    'now' as side,
    e.lead_id,
    t.step_id,
    w.outcome,
    w.reason,
    w.planned_at,
    coalesce(w.settled_at, w.planned_at) as decided_at
from why_outcomes as w
inner join enrollments as e on w.enrollment_id = e.enrollment_id
inner join steps as t on w.version_id = t.version_id and w.step_ix = t.step_ix;

create or replace temp table replay_steps as
with last_words as (
    select *
    from replay_told
    qualify row_number() over (
        partition by side, lead_id, step_id
        order by planned_at desc, outcome = 'postponed'
    ) = 1
),

-- Who still waits has no outcome yet.
before as (
    select *
    from last_words
    where side = 'before' and outcome != 'postponed'
),

now as (
    select *
    from last_words
    where side = 'now' and outcome != 'postponed'
),

sides as (
    select
        coalesce(b.lead_id, n.lead_id) as lead_id,
        coalesce(b.step_id, n.step_id) as step_id,
        b.outcome as outcome_before,
        b.reason as reason_before,
        b.decided_at as before_at,
        n.outcome as outcome_now,
        n.reason as reason_now,
        n.decided_at as now_at
    from before as b
    full join now as n on b.lead_id = n.lead_id and b.step_id = n.step_id
)

select
    *,
    case
        when outcome_before = 'sent' and not coalesce(outcome_now = 'sent', false) then 'only before'
        when outcome_now = 'sent' and not coalesce(outcome_before = 'sent', false) then 'only now'
        when outcome_now = 'sent' and now_at < before_at - interval 1 minute then 'earlier'
        when outcome_now = 'sent' and now_at > before_at + interval 1 minute then 'later'
        when outcome_now = 'sent' then 'same'
        when outcome_before = outcome_now and coalesce(reason_before, '') = coalesce(reason_now, '') then 'same'
        else 'otherwise'
    end as change
from sides;

create or replace temp table replay_firsts as
with firsts as (
    select
        lead_id,
        min(decided_at) filter (where side = 'before') as before_at,
        min(decided_at) filter (where side = 'now') as now_at
    from replay_told
    where outcome = 'sent'
    group by lead_id
)

select
    *,
    case
        when now_at is null then 'only before'
        when before_at is null then 'only now'
        when now_at < before_at - interval 1 minute then 'earlier'
        when now_at > before_at + interval 1 minute then 'later'
        else 'same'
    end as change
from firsts;
