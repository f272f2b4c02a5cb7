-- Appends the day's look of every experiment, once per experiment and workspace day (rules.md R15).
-- A winner is applied once, and only after a full week of assignment, so that it has met every weekday
-- (statistics 2.2); the engine obeys the row that says so, and the arms that a row stops.
insert into looks by name
select
    d.experiment_id,
    d.looked_on,
    $now as looked_at,
    d.state,
    d.winner,
    d.reason,
    d.evidence,
    case
        when
            d.is_auto and d.state = 'winner' and coalesce((d.evidence ->> 'has_full_week')::boolean, false)
            and d.experiment_id not in (select l.experiment_id from looks as l where l.applied_at is not null)
            then $now
    end as applied_at,
    -- Harm waits for no full week.
    case when d.is_auto then nullif(cast(d.evidence -> 'stopped' as varchar[]), []) end as stopped -- noqa: CV11,LT01
from decisions as d
where not exists (
    select 1
    from looks as l
    where l.experiment_id = d.experiment_id and l.looked_on >= d.looked_on
);
