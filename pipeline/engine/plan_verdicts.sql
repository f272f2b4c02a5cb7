-- Whom the message could reach: suppression (R20), address, contacts for life (K23). What is left and new asks the
-- limits for a place; retries, tasks and webhooks need none.
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
),

-- Only of those who are still in it, and no wider than needed: addresses are what costs most to read.
addressed as (
    select
        c.enrollment_id,
        case when c.channel = 'email' then split_part(i.email, '@', -1) end as recipient_domain
    from candidates as c
    inner join identities as i on c.lead_id = i.lead_id
    where
        c.stopped_by is null
        and case when c.channel = 'email' then i.email is not null else i.phone is not null end
)

select
    c.* exclude (
        stopped_by, kind, experiment_id, varies, control, sample_share, is_auto, has_holdout_arm, holdout, per_lead
    ),
    c.channel not in ('task', 'linkedin', 'webhook') as is_contact,
    i.recipient_domain,
    case
        when c.stopped_by is not null then c.stopped_by
        when s.reason is not null then s.reason
        when c.channel in ('email', 'sms', 'call', 'whatsapp') and i.enrollment_id is null then 'no_address'
        when is_contact and c.status = 'waiting' and c.count_sends >= c.per_lead then 'lead_cap'
    end as stopped_by
from candidates as c
left join suppressed as s on c.enrollment_id = s.enrollment_id
left join addressed as i on c.enrollment_id = i.enrollment_id;
