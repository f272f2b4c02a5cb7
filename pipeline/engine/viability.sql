-- Channel and sender of `channel: best`: of the send if there is one, else of the first option that has an address.
-- In: `due`, relation `best_option`. Out: `due` with real channels.

create or replace temp table chosen as
select
    d.enrollment_id,
    coalesce(
        any_value(s.channel),
        min_by(o.channel, o.rank) filter (where if(o.needs = 'phone', i.phone, i.email) is not null),
        min_by(o.channel, o.rank)
    ) as channel,
    coalesce(
        any_value(s.sender),
        min_by(o.sender, o.rank) filter (where if(o.needs = 'phone', i.phone, i.email) is not null),
        min_by(o.sender, o.rank)
    ) as sender
from due as d
inner join best_option as o on d.version_id = o.version_id and d.step_ix = o.step_ix
left join identities as i on d.lead_id = i.lead_id
left join sends as s on d.send_id = s.send_id
where d.channel = 'best'
group by d.enrollment_id;

update due set
    channel = c.channel,
    sender = c.sender
from chosen as c
where due.enrollment_id = c.enrollment_id;
