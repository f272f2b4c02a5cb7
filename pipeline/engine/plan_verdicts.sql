create or replace temp table reachable as
with suppressed as (
    select distinct
        c.enrollment_id, c.step_ix,
        min(p.reason) over (partition by c.enrollment_id) as reason
    from candidates as c
    inner join suppressions as p
        on
            c.lead_id = p.lead_id
            and p.lifted_at is null
            and (p.channel is null or p.channel = c.channel)
            and (p.sequence_id is null or p.sequence_id = c.sequence_id)
    where c.stopped_by is null
)

select
    c.* exclude (stopped_by),
    c.channel not in ('task', 'linkedin', 'webhook') as is_contact,
    case
        when c.stopped_by is not null then c.stopped_by
        when s.reason is not null then s.reason
        when c.channel = 'email' and i.email is null then 'no_address'
        when c.channel in ('sms', 'call', 'whatsapp') and i.phone is null then 'no_address'
        when c.status = 'waiting' and c.send_id is null and is_contact and c.count_sends >= c.per_lead then 'lead_cap'
    end as stopped_by
from candidates as c
left join suppressed as s on c.enrollment_id = s.enrollment_id
left join identities as i on c.lead_id = i.lead_id;

-- R10: follow-ups before first touches, then due_at, then enrollment_id; retries use no quota. A ghost waits in the same
-- queue as the others, so that its moment is like theirs, and takes no place in it (R12).
create or replace temp table verdicts as
with used as (
    select
        v.sequence_id,
        count(*) as used_today
    from sends as s
    inner join sequence_versions as v on s.version_id = v.version_id
    where s.claimed_at >= $day_start and s.origin = 'live' and s.channel not in ('task', 'linkedin', 'webhook')
    group by v.sequence_id
),

ranked as (
    select
        r.*,
        r.is_holdout::int + count(*) filter (where not r.is_holdout and r.is_contact) over (
            partition by r.sequence_id, r.stopped_by is null and r.status = 'waiting' and r.send_id is null
            order by (r.count_sends = 0), r.due_at, r.enrollment_id
            rows between unbounded preceding and current row
        ) as place
    from reachable as r
),

capped as (
    select
        k.*,
        k.stopped_by is null and k.status = 'waiting' and k.send_id is null and k.is_contact and k.per_day is not null
        and k.place + coalesce(u.used_today, 0) > k.per_day as is_capped
    from ranked as k
    left join used as u on k.sequence_id = u.sequence_id
)

select
    k.* exclude (is_capped),
    case
        when k.stopped_by in ('window') or k.is_capped then 'postponed'
        when k.stopped_by is not null then 'skipped'
        when k.is_holdout then 'held_out'
        else 'claimed'
    end as outcome,
    case
        when k.stopped_by is not null then k.stopped_by
        when k.is_capped then 'sequence_cap'
        when k.is_holdout then 'holdout'
    end as reason,
    a.arm as content_arm
from capped as k
left join assigned as a on k.enrollment_id = a.enrollment_id;
