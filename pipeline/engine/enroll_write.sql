-- Writes who enters, of all sequences at once. In: temp table `entering`. Out: `enrollments`, temp table `moving`.

-- Numbered in an order of their own, so that equal runs give equal ids.
create or replace temp table entered as
select
    *,
    $base + row_number() over (order by created_at, lead_id, place) as enrollment_id
from entering;

insert into enrollments by name
select
    enrollment_id,
    lead_id,
    sequence_id,
    version_id,
    entry_no,
    $now as enrolled_at,
    enrolled_by,
    is_holdout,
    held_out_by,
    'live' as origin,
    starts_at
from entered;

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
    coalesce(starts_at, $now::timestamptz) as settled_at,
    0::smallint as next_ix,
    null::varchar as end_status,
    null::varchar as end_reason
from entered;
