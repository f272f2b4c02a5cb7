-- One pass over everything that is due. In: `live` and the programme's temp tables `step`, `window_at`.
-- Out: the temp table `due`, one row per due step, and the view `known`, what conditions may ask of its lead.

create or replace temp table due as
select
    v.*,
    s.sequence_id,
    s.kind,
    s.channel,
    s.sender,
    s.next_ix as following_ix,
    s.max_attempts,
    s.late_seconds,
    s.late_then,
    s.end_status,
    s.experiment_id,
    s.varies,
    s.control,
    s.sample_share,
    s.is_auto,
    s.has_holdout_arm,
    s.holdout,
    s.sequence_id as window_id,
    false as is_absent,
    v.is_holdout as is_ghost,
    s.per_lead,
    $now::timestamptz as now_at
from live as v
inner join step as s on v.version_id = s.version_id and v.step_ix = s.step_ix
where v.slot_at <= $now and v.status != 'in_flight' and not v.is_paused and s.is_running;

-- Conditions name the lead's fields; only those that one of them names are read.
create or replace temp view known as
select
    d.enrollment_id as known_id,
    l.source as lead_source,
    l.country as lead_country,
    l.timezone as lead_timezone,
    l.created_at as lead_created_at,
    l.attributes as lead_attributes
from due as d
inner join leads as l on d.lead_id = l.lead_id;
