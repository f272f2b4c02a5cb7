-- How much of each quota is used. In: `quota`, `counted`. Out: the temp table `usage`, one row per quota.

create or replace temp table usage as
with used as (
    select
        k.pass,
        k.key,
        count(*) filter (where c.claimed_at >= $day_start) as in_day,
        count(*) filter (where c.claimed_at >= $hour_start) as in_hour
    from counted as c
    cross join
        lateral (
            values ('sequence', c.sequence_id), ('domain', c.recipient_domain), ('sender', c.sender)
        ) as k (pass, key)
    where k.key is not null
    group by k.pass, k.key
),

matched as (
    select
        u.*,
        coalesce(q.key, '*') as quota_key
    from used as u
    left join quota as q on u.pass = q.pass and u.key = q.key
)

select
    case q.pass when 'sequence' then 1 when 'domain' then 2 else 3 end as place,
    q.pass,
    q.key,
    q.per_day,
    q.per_hour,
    coalesce(max(m.in_day), 0) as in_day,
    coalesce(max(m.in_hour), 0) as in_hour
from quota as q
left join matched as m on q.pass = m.pass and q.key = m.quota_key
group by all;
