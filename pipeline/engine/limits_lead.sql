-- The first pass of R10: how often one lead is contacted, over all sequences (R11). In: `reachable`, `lead_limit`
-- (sequence_id, per_day, per_week, gap_seconds), `zone_day`. Out: `lead_asking`, who asks, in the lead's own queue:
-- follow-ups before first touches, then due_at, then enrollment_id; `lead_contact`, what the lead got lately.

create or replace temp table lead_asking as
select
    r.enrollment_id,
    r.lead_id,
    r.window_id,
    r.zone,
    r.is_ghost as is_holdout,
    r.local_on,
    coalesce(q.per_day, h.per_day) as per_day,
    coalesce(q.per_week, h.per_week) as per_week,
    coalesce(q.gap_seconds, h.gap_seconds) as gap_seconds,
    r.now_at,
    row_number() over (
        partition by r.lead_id order by (r.count_sends = 0), r.due_at, r.enrollment_id
    ) as place
from reachable as r
inner join lead_limit as h on h.sequence_id = '*'
left join lead_limit as q on r.sequence_id = q.sequence_id
where r.is_contact and r.status = 'waiting' and r.stopped_by is null;

create or replace temp table lead_contact as
select
    c.lead_id,
    c.local_on,
    c.claimed_at
from contacts_since($since) as c
semi join lead_asking as a on c.lead_id = a.lead_id;
