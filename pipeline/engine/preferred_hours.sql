-- Draws a block of the day for each message that has a choice. In: `candidates`, `hour_choice`, relation `step`. Who was
-- drawn for once is not drawn for again, nor is what a person asked for (a call back), is tried again, or has hours on trial.

create or replace temp table hour_drawn as
with drawing_lots as (
    select
        c.enrollment_id,
        c.version_id,
        c.step_ix,
        c.now_at,
        c.window_id,
        c.zone,
        c.true_slot_at,
        ('0x' || md5($salt || ':hours:' || s.holdout_key || ':' || c.lead_id)[:13])::bigint
        / 4503599627370496.0 as lot
    from candidates as c
    inner join step as s on c.version_id = s.version_id and c.step_ix = s.step_ix
    anti join hour_draws as d
        on c.enrollment_id = d.enrollment_id and c.version_id = d.version_id and c.step_ix = d.step_ix
    where
        -- Conditions are asked when the message would go (R5): the answer of now counts only for who goes now.
        (c.stopped_by is null or c.stopped_by in ('condition', 'experiment'))
        and c.status = 'waiting'
        and c.send_id is null
        and c.channel in ('email', 'sms', 'whatsapp')
        and c.varies is distinct from 'send_time'
)

select
    c.enrollment_id,
    c.version_id,
    c.step_ix,
    c.now_at as drawn_at,
    h.slot_at,
    h.local_on,
    h.block,
    h.propensity,
    h.scored_at
from drawing_lots as c
inner join hour_choice as h
    on
        c.window_id = h.window_id
        and c.zone = h.zone
        -- Whoever could have gone on another day has waited long enough.
        and c.true_slot_at >= h.day_starts_at
        and c.lot >= h.low
        and c.lot < h.high;

insert into hour_draws by name
select * from hour_drawn;

update candidates set
    stopped_by = 'preferred_hours',
    now_opens_at = d.slot_at
from hour_drawn as d
where candidates.enrollment_id = d.enrollment_id and d.slot_at > d.drawn_at;

delete from drawing
using hour_drawn as d
where drawing.enrollment_id = d.enrollment_id and d.slot_at > d.drawn_at;
