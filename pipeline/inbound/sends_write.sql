-- $send_base is the number before the first one drawn for this batch.

insert into sends by name
select
    $send_base + number as send_id, enrollment_id, lead_id, version_id, step_ix, variant, channel, sender,
    handed_over_at as claimed_at, handed_over_at as slot_at, 'UTC' as zone,
    cast(handed_over_at as date) as local_on, origin
from ingest_new_sends;

insert into send_outcomes by name
select
    $send_base + number as send_id, handed_over_at as settled_at, 'handed_over' as status, 1 as attempt, message_id
from ingest_new_sends;
