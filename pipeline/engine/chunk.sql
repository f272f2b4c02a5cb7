-- The next chunk for the dispatcher, looked at once more right before hand-over (R8): what an event, a pause or a
-- suppression has overtaken is withdrawn. Out: temp tables `chunk` (to hand over) and `answers` (withdrawn).

create or replace temp table picked as
select
    v.enrollment_id,
    v.lead_id,
    v.version_id,
    v.step_ix,
    v.send_id,
    v.attempts,
    v.due_at,
    v.count_sends,
    v.is_ended,
    v.is_paused,
    s.sequence_id,
    s.is_running
from live as v
inner join step as s on v.version_id = s.version_id and v.step_ix = s.step_ix
where v.status = 'in_flight'
order by v.count_sends > 1 desc, v.due_at, v.enrollment_id
limit $size;

create or replace temp table checked as
select
    p.*,
    d.channel,
    d.sender,
    d.variant,
    case
        when p.is_ended then 'ended'
        when p.is_paused or not p.is_running then 'paused'
        else (
            select min(u.reason)
            from suppressions as u
            where
                u.lead_id = p.lead_id
                and u.lifted_at is null
                and (u.channel is null or u.channel = d.channel)
                and (u.sequence_id is null or u.sequence_id = p.sequence_id)
        )
    end as withdrawn_by
from picked as p
inner join sends as d on p.send_id = d.send_id;

create or replace temp table answers as
select
    send_id,
    'withdrawn' as status,
    $now::timestamptz as settled_at,
    attempts as attempt,
    withdrawn_by as reason,
    null::varchar as message_id
from checked
where withdrawn_by is not null;

create or replace temp table chunk as
select
    c.send_id,
    c.attempts as attempt,
    c.version_id,
    c.step_ix,
    c.channel,
    c.sender,
    c.variant,
    i.email,
    i.phone,
    i.first_name,
    i.last_name,
    l.attributes,
    x.context,
    row_number() over (order by c.count_sends > 1 desc, c.due_at, c.enrollment_id) as place
from checked as c
left join identities as i on c.lead_id = i.lead_id
left join leads as l on c.lead_id = l.lead_id
left join enrollment_contexts as x on c.enrollment_id = x.enrollment_id
where c.withdrawn_by is null;
