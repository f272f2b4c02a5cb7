-- What the answers do (R1, R7, R9). In: temp table `answers` (send_id, status, settled_at, attempt, reason, message_id).
-- Out: rows of `send_outcomes`, new states in `live`, and the temp table `moving` for those that go on.

create or replace temp table settled as
select
    v.*
    replace (
        -- A claim that is taken back is no contact (R10).
        case
            when a.status = 'withdrawn' and s.kind not in ('task', 'linkedin', 'webhook') then v.count_sends - 1
            else v.count_sends
        end as count_sends
    ),
    a.settled_at,
    s.next_ix as following_ix,
    s.retry_then,
    s.backoff_seconds,
    a.message_id,
    case
        when a.status = 'retry' and v.is_ended then 'withdrawn'
        when a.status = 'retry' and v.attempts >= s.max_attempts then 'refused'
        else a.status
    end as answer,
    case when a.status = 'retry' and v.is_ended then 'ended' else a.reason end as answer_reason
from answers as a
inner join live as v on a.send_id = v.send_id and v.status = 'in_flight'
inner join step as s on v.version_id = s.version_id and v.step_ix = s.step_ix
-- A line that was written twice is one answer.
qualify row_number() over (partition by a.send_id order by a.attempt desc, a.settled_at desc) = 1;

create or replace temp table outcome_rows as
select
    send_id,
    settled_at,
    answer,
    answer_reason,
    attempts,
    message_id,
    -- R7: doubling, and never sooner than five minutes after a temporary refusal by the other side
    case
        when answer = 'retry'
            then settled_at + to_seconds(
                greatest(
                    backoff_seconds * pow(2, attempts - 1)::bigint,
                    case when regexp_matches(coalesce(answer_reason, ''), '^4[0-9][0-9]') then 300 else 0 end
                )
            )
    end as next_attempt_at
from settled;

insert into send_outcomes
select *
from outcome_rows;

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
    case
        when answer in ('handed_over', 'unknown') then sent_mask | (1::bigint << step_ix)
        else sent_mask
    end as sent_mask,
    opened_mask,
    clicked_mask,
    has_replied,
    has_converted,
    count_sends,
    settled_at,
    case when answer = 'refused' and retry_then = 'exit' then -1 else following_ix end as next_ix,
    case when answer = 'refused' and retry_then = 'exit' then 'exited' else 'completed' end as end_status,
    case when answer = 'refused' and retry_then = 'exit' then 'refused' end as end_reason
from settled
where
    is_ended
    or answer in ('handed_over', 'unknown', 'refused')
    or (answer = 'withdrawn' and answer_reason != 'paused');

create or replace temp table staying as
select
    s.* exclude (settled_at, following_ix, retry_then, backoff_seconds, message_id, answer, answer_reason)
    replace (
        case s.answer when 'retry' then 'retry' else 'waiting' end as status,
        coalesce(o.next_attempt_at, s.slot_at) as slot_at
    )
from settled as s
inner join outcome_rows as o on s.send_id = o.send_id
anti join moving as m on s.enrollment_id = m.enrollment_id;

delete from live
using settled as s
where live.enrollment_id = s.enrollment_id;

insert into live by name
select *
from staying;
