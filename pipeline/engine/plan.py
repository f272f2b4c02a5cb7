"""Planning: what becomes of every step that is due, in one set-based pass (R3 to R6, R10 to R13).

Belongs here: building the pass from the programme and running it. Does not: the SQL itself
(`plan*.sql`), handing over (`dispatch`).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from pipeline.engine.advance import advance
from pipeline.engine.assignment import draw_arms
from pipeline.engine.limits import Clock, apply_limits, limits_reach
from pipeline.engine.preferred_hours import apply_preferred_hours
from pipeline.engine.programme import STEP_SPAN, Programme, case_by_step
from pipeline.engine.trials import apply_arms, apply_senders
from pipeline.engine.viability import choose_channels
from pipeline.engine.waits import settle_waits
from pipeline.ledger.serials import draw_numbers
from pipeline.ledger.statements import run_file
from pipeline.sequences.calendars import Calendar, open_windows
from pipeline.sequences.compiled import CompiledStep
from pipeline.sequences.conditions import HISTORY, JUDGED_SECONDS

_HERE = Path(__file__).parent
# Most calendars open within days; holidays of one's own may close one for longer.
_HORIZON = timedelta(days=7)
_FARTHEST = timedelta(days=400)
_QUIET_MARK = "@"
_WINDOW_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "window_id": pl.String,
    "zone": pl.String,
    "open_at": pl.Datetime("us", "UTC"),
    "close_at": pl.Datetime("us", "UTC"),
}
_NO_HISTORY = """
    create or replace temp table history as
    select
        null::bigint as enrollment_id,
        null::map(smallint, timestamptz) as handed_over_at,
        null::bigint as answered_mask,
        null::struct(step_ix smallint, url varchar)[] as judged_clicks
    where false
"""
_DAY_SCHEMA = {"zone": pl.String, "local_on": pl.Date}


def plan(
    con: duckdb.DuckDBPyConnection, programme: Programme, salt: str, now: datetime
) -> dict[str, int]:
    """Decide on every due step and write the decisions; claims wait for the dispatcher.

    Branches are followed within the pass, however deep. Returns counts by outcome (claimed,
    postponed, skipped, held_out).
    """
    totals: dict[str, int] = {}
    controls, total = _find_due(con, now)
    if total == 0:
        return totals  # Most ticks: what follows is for those that have something to do.
    conditions = {
        "step_when": _step_conditions(programme),
        "branch_target": _branch_targets(programme),
    }
    asking = _asking_history(programme)
    con.execute(_NO_HISTORY)
    while total:
        apply_arms(con, programme.varied, salt)
        if not (controls and settle_waits(con, programme.steps, salt)):
            if asking:
                _gather_history(con, asking, now)
            if controls:
                run_file(con, _HERE / "plan_control.sql", expressions=conditions)
                advance(con, salt)
            else:
                # Messages wait until no branch is left, so that a limit sees all of them at once.
                for outcome, count in _plan_messages(con, programme, conditions, salt, now).items():
                    totals[outcome] = totals.get(outcome, 0) + count
        controls, total = _find_due(con, now)
    return totals


def _find_due(con: duckdb.DuckDBPyConnection, now: datetime) -> tuple[int, int]:
    """Create `due`; return how many steps in it send nothing, and how many it has."""
    run_file(con, _HERE / "plan.sql", now=now)
    controls, total = con.execute(
        "select count(*) filter (where channel is null), count(*) from due"
    ).fetchall()[0]
    return int(controls), int(total)


def _gather_history(con: duckdb.DuckDBPyConnection, asking: list[int], now: datetime) -> None:
    run_file(
        con,
        _HERE / "plan_history.sql",
        asking=asking,
        span=STEP_SPAN,
        judged=JUDGED_SECONDS,
        now=now,
    )


def _plan_messages(
    con: duckdb.DuckDBPyConnection,
    programme: Programme,
    conditions: dict[str, str],
    salt: str,
    now: datetime,
) -> dict[str, int]:
    choose_channels(con, programme.steps)
    _create_windows(con, programme, now)
    run_file(con, _HERE / "plan_messages.sql", expressions=conditions)
    apply_preferred_hours(con, programme, salt, now)
    draw_arms(con, salt)
    apply_senders(con, programme.varied)
    run_file(con, _HERE / "plan_verdicts.sql")
    apply_limits(con, programme, now)
    run_file(con, _HERE / "plan_outcomes.sql")
    run_file(con, _HERE / "plan_write.sql", send_base=_draw_send_base(con))
    advance(con, salt)
    return dict(con.execute("select outcome, count(*) from verdicts group by outcome").fetchall())


def _draw_send_base(con: duckdb.DuckDBPyConnection) -> int:
    """Reserve a number for every row of `verdicts`; return what its place in the table adds to."""
    first, count = con.execute(
        "select coalesce(min(rowid), 0), coalesce(max(rowid) - min(rowid) + 1, 0) from verdicts"
    ).fetchall()[0]
    return draw_numbers(con, "send_ids", count) - int(first)


def _asking_history(programme: Programme) -> list[int]:
    """Name the steps, as one number, whose conditions ask of an enrollment's past."""
    return [
        version_id * STEP_SPAN + step.ix
        for version_id, steps in programme.steps.items()
        for step in steps
        for sql in (step.when_sql, *(when_sql for when_sql, _ in step.cases))
        if sql and any(name in sql for name in HISTORY)
    ]


def _step_conditions(programme: Programme) -> str:
    return case_by_step(
        {
            (version_id, step.ix): step.when_sql
            for version_id, steps in programme.steps.items()
            for step in steps
            if step.when_sql
        },
        "true",
    )


def _branch_targets(programme: Programme) -> str:
    return case_by_step(
        {
            (version_id, step.ix): _branch_case(step)
            for version_id, steps in programme.steps.items()
            for step in steps
            if step.kind == "branch"
        },
        "-1",
    )


def _branch_case(step: CompiledStep) -> str:
    parts = [f"when {when_sql} then {target}" for when_sql, target in step.cases if when_sql]
    otherwise = next((target for when_sql, target in step.cases if not when_sql), step.next_ix)
    return f"case {' '.join(parts)} else {otherwise} end" if parts else str(otherwise)


@lru_cache(maxsize=4096)
def _windows(
    calendar: Calendar, zone: str, start: datetime, today: datetime, reach: timedelta
) -> Sequence[tuple[datetime, datetime]]:
    found = open_windows(calendar, zone, start, today + _HORIZON)
    # What opens after a limit of today has passed must be there.
    if not found or found[-1][1] <= today + reach:
        found = open_windows(calendar, zone, start, today + _FARTHEST)
    return tuple(found)


def _create_windows(con: duckdb.DuckDBPyConnection, programme: Programme, now: datetime) -> None:
    """Create `open_window` (windows of each calendar and zone) and what is read from it."""
    quiet_hours = programme.workspace.quiet_hours
    for channel in quiet_hours:
        # The same calendar has other windows on a channel with quiet hours (R3).
        con.execute(
            "update due set window_id = window_id || $mark || channel where channel = $channel",
            {"mark": _QUIET_MARK, "channel": channel},
        )
    pairs = con.execute(
        "select window_id, sequence_id, zone, min(slot_at) from due "
        "where channel is not null group by all"
    ).fetchall()
    rows, reach = [], limits_reach(programme)
    for window_id, sequence_id, zone, first in pairs:
        sequence = programme.sequence(sequence_id)
        calendar = sequence.calendar if sequence else Calendar()
        calendar_id, _, channel = window_id.partition(_QUIET_MARK)
        if calendar_id in programme.hours:
            calendar = replace(calendar, windows=programme.hours[calendar_id])
        if channel:
            calendar = replace(calendar, quiet=quiet_hours[channel])
        # Whole days keep the cache warm from tick to tick.
        start = _whole_day(first) - timedelta(days=1)
        rows += [
            (window_id, zone, open_at, close_at)
            for open_at, close_at in _windows(calendar, zone, start, _whole_day(now), reach)
            if close_at > first
        ]
    frame = pl.DataFrame(rows, schema=_WINDOW_SCHEMA, orient="row")
    con.register("window_frame", frame)
    con.execute("create or replace temp table open_window as select * from window_frame")
    con.unregister("window_frame")
    clock = Clock.read(programme.workspace.timezone, now)
    zones = sorted({zone for *_, zone, _ in pairs})
    days = [now.astimezone(ZoneInfo(zone)).date() for zone in zones]
    con.register("day_frame", pl.DataFrame({"zone": zones, "local_on": days}, schema=_DAY_SCHEMA))
    run_file(
        con,
        _HERE / "plan_windows.sql",
        now=now,
        first=min((row[-1] for row in pairs), default=now),
        tomorrow=clock.tomorrow,
        next_hour=clock.next_hour,
        never=_whole_day(now) + _FARTHEST,
    )
    con.unregister("day_frame")


def _whole_day(moment: datetime) -> datetime:
    return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
