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
)

select
    c.* exclude (stopped_by),
    c.channel not in ('task', 'linkedin', 'webhook') as is_contact,
    case when c.channel = 'email' then split_part(i.email, '@', -1) end as recipient_domain,
    case
        when c.stopped_by is not null then c.stopped_by
        when s.reason is not null then s.reason
        when c.channel = 'email' and i.email is null then 'no_address'
        when c.channel in ('sms', 'call', 'whatsapp') and i.phone is null then 'no_address'
        when is_contact and c.status = 'waiting' and c.count_sends >= c.per_lead then 'lead_cap'
    end as stopped_by
from candidates as c
left join suppressed as s on c.enrollment_id = s.enrollment_id
left join identities as i on c.lead_id = i.lead_id;
