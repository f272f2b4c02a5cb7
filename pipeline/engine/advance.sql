-- Moves enrollments to their next step. In: temp table `moving`, the rows taken out of `live`, with settled_at and next_ix.
-- Out: enrollment_ends for those that are through, rows of `live` with due times for the others (R1, R2).

insert into enrollment_ends
select
    enrollment_id,
    settled_at,
    coalesce(end_status, 'completed'),
    end_reason
from moving
where next_ix < 0 and not is_ended;

create or replace temp table stepping as
select
    m.*,
    s.kind,
    s.holidays,
    s.experiment_id,
    s.varies,
    s.control,
    s.sample_share,
    s.is_auto,
    s.holdout,
    s.has_holdout_arm,
    s.delay_unit,
    s.delay_amount,
    s.delay_since,
    m.next_ix as assigning_ix,
    case s.zone_mode when 'lead' then coalesce(l.timezone, s.fallback_zone) else s.zone_mode end as next_zone
from moving as m
inner join step as s on m.version_id = s.version_id and m.next_ix = s.step_ix
left join leads as l on m.lead_id = l.lead_id
where m.next_ix >= 0 and not m.is_ended;
