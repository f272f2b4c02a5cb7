-- One pass of R10, of $pass_name: sequence | domain | sender. Those who ask and are still in the running queue up before each
-- key, follow-ups before first touches, then due_at, then enrollment_id; who finds no place is postponed, and asks in no
-- later pass. In: `reachable`, `quota` (pass, key, per_day, per_hour), `counted`. Adds to: `postponed_by_limits`.

insert into postponed_by_limits
with asking as (
    select
        r.enrollment_id,
        r.window_id,
        r.zone,
        r.is_ghost as is_holdout,
        r.count_sends,
        r.due_at,
        case $pass_name
            when 'sequence' then r.sequence_id
            when 'domain' then r.recipient_domain
            else r.sender
        end as key
    from reachable as r
    anti join postponed_by_limits as p on r.enrollment_id = p.enrollment_id
    where r.is_contact and r.status = 'waiting' and r.stopped_by is null
),

used as (
    select
        case $pass_name
            when 'sequence' then sequence_id
            when 'domain' then recipient_domain
            else sender
        end as key,
        count(*) filter (where claimed_at >= $day_start) as in_day,
        count(*) filter (where claimed_at >= $hour_start) as in_hour
    from counted
    group by all
),

named as (
    select
        key,
        count(*) as count_asking,
        coalesce(
            any_value(key) filter (where key in (select q.key from quota as q where q.pass = $pass_name)),
            '*'
        ) as quota_key
    from asking
    where key is not null
    group by key
),

-- Only before keys where not all find a place there is a queue; most days there is none.
free as (
    select
        n.key,
        n.count_asking,
        q.per_day - least(q.per_day, coalesce(u.in_day, 0)) as in_day,
        q.per_hour - least(q.per_hour, coalesce(u.in_hour, 0)) as in_hour
    from named as n
    inner join quota as q on n.quota_key = q.key and q.pass = $pass_name
    left join used as u on n.key = u.key
),

-- Who goes takes a place of the day and one of the hour, so the smaller room is what holds the others up.
room as (
    select
        key,
        least(in_day, in_hour) as places,
        in_hour is null or in_day <= in_hour as is_day
    from free
    where count_asking > least(in_day, in_hour)
),

-- A ghost takes no place and goes when the next one would have found one (R12).
queue as (
    select
        a.enrollment_id,
        a.window_id,
        a.zone,
        r.places,
        r.is_day,
        a.is_holdout::int + count(*) filter (where not a.is_holdout) over (
            partition by a.key
            order by (a.count_sends = 0), a.due_at, a.enrollment_id
            rows between unbounded preceding and current row
        ) as place
    from asking as a
    inner join room as r on a.key = r.key
)

select
    q.enrollment_id,
    $pass_name || if(q.is_day, '_cap', '_hour_cap') as reason,
    if(q.is_day, z.next_day_opens_at, z.next_hour_opens_at) as until_at
from queue as q
inner join zone_now as z on q.window_id = z.window_id and q.zone = z.zone
where q.place > q.places;
