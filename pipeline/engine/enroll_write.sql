-- Writes who enters, of all sequences at once. In: temp table `entering`. Out: `enrollments`, temp table `moving`.

insert into enrollments
select
    enrollment_id,
    lead_id,
    sequence_id,
    version_id,
    1,
    $now,
    'rule',
    is_holdout,
    'live'
from entering;

create or replace temp table moving as
select
    enrollment_id,
    lead_id,
    version_id,
    $now::timestamptz as enrolled_at,
    is_holdout,
    false as is_paused,
    false as is_ended,
    0::bigint as sent_mask,
    0::bigint as opened_mask,
    0::bigint as clicked_mask,
    false as has_replied,
    false as has_converted,
    0::smallint as count_sends,
    $now::timestamptz as settled_at,
    0::smallint as next_ix,
    null::varchar as end_status,
    null::varchar as end_reason
from entering;
