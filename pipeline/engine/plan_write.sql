-- Writes what was decided: claims into `sends`, everything into `why`, new states into `live`, the skipped into `moving`.
-- In: `verdicts`, and numbers of sends for all its rows: each has that of its place, counted from $send_base.

create or replace temp view claims as
select
    v.*,
    v.rowid as row_no,
    v.attempts + 1 as attempt,
    coalesce(v.content_arm, v.arm) as variant
from verdicts as v
where v.outcome = 'claimed';

insert into sends by name
select
    $send_base + c.row_no as send_id,
    c.enrollment_id,
    c.lead_id,
    c.version_id,
    c.step_ix,
    c.variant,
    c.channel,
    c.sender,
    c.now_at as claimed_at,
    greatest(c.true_slot_at, c.slot_at) as slot_at,
    c.zone,
    c.local_on,
    'live' as origin,
    c.recipient_domain
from claims as c
where c.send_id is null;

insert into reclaims by name
select
    c.send_id,
    c.lead_id,
    c.version_id,
    c.channel,
    c.sender,
    c.now_at as claimed_at,
    c.local_on,
    c.recipient_domain,
    c.attempt
from claims as c
where c.send_id is not null and c.status = 'waiting';

-- A retry is the same decision, tried again: it has its row.
insert into why
select
    now_at,
    enrollment_id,
    version_id,
    step_ix,
    outcome,
    reason,
    until_at,
    null,
    null
from verdicts
where outcome != 'claimed' and status != 'retry'
union all
select
    now_at,
    enrollment_id,
    version_id,
    step_ix,
    'claimed',
    null,
    null,
    coalesce(send_id, $send_base + row_no),
    attempt
from claims
where status != 'retry';

create or replace temp table moving as
select
    enrollment_id,
    lead_id,
    version_id,
    step_ix,
    enrolled_at,
    is_holdout,
    is_paused,
    is_ended,
    sent_mask,
    opened_mask,
    clicked_mask,
    has_replied,
    has_converted,
    case when is_contact and status = 'retry' then count_sends - 1 else count_sends end as count_sends,
    now_at as settled_at,
    case when outcome = 'held_out' then -1 else following_ix end as next_ix,
    'completed' as end_status,
    case when outcome = 'held_out' then 'held_out' end as end_reason
from verdicts
where outcome in ('skipped', 'held_out');

-- A retry that may no longer go out is settled like a withdrawn claim.
insert into send_outcomes
select
    send_id,
    now_at,
    'withdrawn',
    reason,
    attempts,
    null,
    null
from verdicts
where outcome = 'skipped' and status = 'retry';

delete from live
using verdicts as v
where live.enrollment_id = v.enrollment_id;

insert into live by name
select
    enrollment_id,
    lead_id,
    version_id,
    step_ix,
    'in_flight' as status,
    due_at,
    greatest(true_slot_at, slot_at) as slot_at,
    anchor_at,
    enrolled_at,
    zone,
    is_holdout,
    is_paused,
    is_ended,
    arm,
    coalesce(send_id, $send_base + row_no) as send_id,
    attempt as attempts,
    sent_mask,
    opened_mask,
    clicked_mask,
    has_replied,
    has_converted,
    case when is_contact and status = 'waiting' then count_sends + 1 else count_sends end as count_sends
from claims
union all by name
select
    v.enrollment_id,
    v.lead_id,
    v.version_id,
    v.step_ix,
    v.status,
    v.due_at,
    v.until_at as slot_at,
    v.anchor_at,
    v.enrolled_at,
    v.zone,
    v.is_holdout,
    v.is_paused,
    v.is_ended,
    v.arm,
    v.send_id,
    v.attempts,
    v.sent_mask,
    v.opened_mask,
    v.clicked_mask,
    v.has_replied,
    v.has_converted,
    v.count_sends
from verdicts as v
where v.outcome = 'postponed';
