-- What conditions ask of the past of those that are due (R5): once for all conditions, since each subquery of its own would
-- make planning the statement slower by the square of their number. In: `due`, `$asking`, the steps whose conditions ask.
-- Out: temp table `history`, one row per enrollment that is due at one of them and has such a past.

create or replace temp table history as
with asking as (
    select enrollment_id
    from due
    where version_id * $span + step_ix in (select unnest($asking::bigint[]))
),

handed_over as (
    select
        s.enrollment_id,
        s.step_ix,
        max(o.settled_at) as settled_at
    from placed_sends as s
    semi join asking as d on s.enrollment_id = d.enrollment_id
    inner join send_outcomes as o on s.send_id = o.send_id
    where o.status in ('handed_over', 'unknown')
    group by s.enrollment_id, s.step_ix
),

moments as (
    select
        enrollment_id,
        map(list(step_ix), list(settled_at)) as handed_over_at
    from handed_over
    group by enrollment_id
),

answers as (
    select
        d.enrollment_id,
        bit_or(1::bigint << e.step_ix) filter (where e.kind = 'call_answered') as answered_mask,
        -- The burst around a click can be judged later only.
        list({ 'step_ix': e.step_ix, 'url': e.url }) filter (
            where e.kind = 'clicked' and e.received_at <= $now - to_seconds($judged)
        ) as judged_clicks
    from asking as d
    inner join placed_events as e on d.enrollment_id = e.enrollment_id
    where e.kind in ('call_answered', 'clicked') and e.verdict = 'human'
    group by d.enrollment_id
)

select
    coalesce(m.enrollment_id, a.enrollment_id) as enrollment_id,
    m.handed_over_at,
    a.answered_mask,
    a.judged_clicks
from moments as m
full join answers as a on m.enrollment_id = a.enrollment_id;
