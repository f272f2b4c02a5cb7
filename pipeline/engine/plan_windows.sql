-- What the calendars say about the messages that are due (R3, R4). In: `due`, `open_window` (window_id, zone, open_at, close_at),
-- relation `day_frame` (zone, local_on). Out: `zone_now`, what is next for each calendar and zone, and `slot_window`.

create or replace temp table zone_now as
select
    d.window_id,
    d.zone,
    coalesce(min(greatest(w.open_at, $now)) filter (where w.close_at > $now), $never) as now_opens_at,
    coalesce(
        min(greatest(w.open_at, $tomorrow)) filter (where w.close_at > $tomorrow), $never
    ) as next_day_opens_at,
    coalesce(
        min(greatest(w.open_at, $next_hour)) filter (where w.close_at > $next_hour), $never
    ) as next_hour_opens_at,
    any_value(y.local_on) as local_on
from (select distinct window_id, zone from due where channel is not null) as d
inner join day_frame as y on d.zone = y.zone
left join open_window as w on d.window_id = w.window_id and d.zone = w.zone
group by d.window_id, d.zone;

-- For each day the windows that are the next to close at some instant of it, a last one that never opens included: every
-- slot from $first to $now has its one row. Joining by day is many times faster than a join as of an instant.
create or replace temp table slot_window as
with windows as (
    select
        window_id,
        zone,
        open_at,
        close_at
    from open_window
    union all
    select
        window_id,
        zone,
        null,
        'infinity'::timestamptz
    from zone_now
),

spans as (
    select
        *,
        lag(close_at, 1, $first) over (partition by window_id, zone order by close_at) as after_at
    from windows
)

select
    s.*,
    z.now_opens_at,
    z.local_on,
    unnest(range(
        epoch_us(s.after_at) // 86400000000, epoch_us(least(s.close_at, $now)) // 86400000000 + 1
    )) as day_no
from spans as s
inner join zone_now as z on s.window_id = z.window_id and s.zone = z.zone
where s.after_at <= $now;
