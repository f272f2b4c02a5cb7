-- A later event of a message settles its unknown outcome (R9): whoever reacts has got it. In: temp table `new_events`.
-- The moment stays that of the hand-over, so that masks and waits need no change.

insert into send_outcomes by name
with told as (
    select distinct send_id
    from new_events
    where send_id is not null
),

latest as (
    select
        o.send_id,
        max_by(o.status, (o.attempt, o.settled_at)) as status,
        max(o.settled_at) as settled_at,
        max(o.attempt) as attempt
    from send_outcomes as o
    semi join told as t on o.send_id = t.send_id
    group by o.send_id
)

select
    send_id,
    settled_at + interval 1 microsecond as settled_at,
    'handed_over' as status,
    'told by a later event' as reason,
    attempt
from latest
where status = 'unknown';
