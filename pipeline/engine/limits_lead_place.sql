-- Those at place $place of their lead's queue: most leads have one step due, so later rounds are small. Who may go is a
-- contact for those behind; a ghost is none (R12). Adds to: `postponed_by_limits`, `lead_contact`.

create or replace temp table lead_verdict as
with asking as (
    select *
    from lead_asking
    where place = $place
),

lately as (
    select
        c.lead_id,
        list(c.local_on order by c.local_on desc) as days,
        max(c.claimed_at) as last_at
    from lead_contact as c
    semi join asking as a on c.lead_id = a.lead_id
    group by c.lead_id
),

-- With n contacts a day the n-th latest fills its day; with n a week the n-th latest fills the six days after its own.
full_days as (
    select
        a.*,
        if(l.days[a.per_day] >= a.local_on, l.days[a.per_day] + 1, null) as day_frees_on,
        if(l.days[a.per_week] > a.local_on - 7, l.days[a.per_week] + 7, null) as week_frees_on,
        if(
            l.last_at + to_seconds(a.gap_seconds) > a.now_at, l.last_at + to_seconds(a.gap_seconds), null
        ) as gap_ends_at
    from asking as a
    left join lately as l on a.lead_id = l.lead_id
),

moments as (
    select
        f.*,
        d.starts_at as day_frees_at,
        w.starts_at as week_frees_at,
        greatest(d.starts_at, w.starts_at, f.gap_ends_at) as frees_at
    from full_days as f
    left join zone_day as d on f.zone = d.zone and f.day_frees_on = d.local_on
    left join zone_day as w on f.zone = w.zone and f.week_frees_on = w.local_on
)

select
    m.enrollment_id,
    m.lead_id,
    m.local_on,
    m.now_at,
    m.is_holdout,
    case m.frees_at
        when m.day_frees_at then 'lead_day_cap'
        when m.week_frees_at then 'lead_week_cap'
        when m.gap_ends_at then 'contact_gap'
    end as reason,
    case when m.frees_at is not null then greatest(coalesce(w.open_at, m.frees_at), m.frees_at) end as until_at
from moments as m
asof left join open_window as w
    on m.window_id = w.window_id and m.zone = w.zone and m.frees_at < w.close_at;

insert into postponed_by_limits
select
    enrollment_id,
    reason,
    until_at
from lead_verdict
where reason is not null;

insert into lead_contact
select
    lead_id,
    local_on,
    now_at
from lead_verdict
where reason is null and not is_holdout and $place < $last_place;
