-- The message, by our id, or by our own form of a Message-ID, else by the id that its provider gave it.
create or replace temp table ingest_messages as
with wanted as (
    select
        target_no, message_id,
        coalesce(
            given_send_id, try_cast(regexp_extract(message_id, '^<?([0-9]{1,18})\.[^@\s]*@[^@\s>]+>?$', 1) as bigint)
        ) as send_id
    from ingest_fresh_events
    where given_send_id is not null or message_id is not null
),

by_send as (
    select w.target_no, s.send_id from sends as s inner join wanted as w using (send_id)
),

open_messages as (
    select w.target_no, w.message_id from wanted as w anti join by_send using (target_no)
),

by_message as (
    select m.target_no, max(o.send_id) as send_id
    from send_outcomes as o
    inner join open_messages as m using (message_id)
    group by m.target_no
),

found as (
    select * from by_send
    union all
    select * from by_message
)

select f.target_no, s.send_id, s.enrollment_id, s.lead_id, s.step_ix, s.channel
from sends as s
inner join found as f using (send_id);
