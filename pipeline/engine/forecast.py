"""What the next days will bring if nobody reacts: messages per day, and the limits that bite.

Belongs here: the days, the counts, what the forecast takes for granted. Does not: the private
ledger and its clock (`rehearsal`), any rule of the engine.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from pipeline.engine.rehearsal import SLOT, Rehearsal, choose_slot, open_private
from pipeline.engine.tick import load_files
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.sequences.calendars import local_to_utc
from pipeline.settings import DripError, Settings

_SQL = Path(__file__).with_name("forecast.sql")
_MOST_DAYS = 366
# From so many live enrollments on a tick costs seconds: by the hour, two weeks are some 300.
_LARGE = 20_000
_DAY_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "day": pl.Date,
    "from_at": pl.Datetime("us", "UTC"),
    "to_at": pl.Datetime("us", "UTC"),
}
# Reasons to put a step off that are no limit: they are what the sequence asks for.
_WISHES = ("window", "paused", "preferred_hours")


@dataclass(frozen=True)
class Forecast:
    """A forecast. Days are those of the workspace's zone; the first begins at `from_at`.

    Attributes:
        messages: rows of day, sequence_id, sender, channel, messages.
        limits: what limits do: rows of day, sequence_id, outcome, reason, steps (touched by it that
            day) and waiting (still put off by it when the day ends).
        decisions: the same for every other reason.
        assumptions: what is taken for granted, in sentences.
        ticks: moments at which the engine was run.
        seconds: how long it took.
    """

    from_at: datetime
    to_at: datetime
    timezone: str
    days: list[date]
    messages: list[dict[str, Any]]
    limits: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    assumptions: list[str]
    ticks: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the forecast as plain values."""
        return asdict(self)


def forecast(
    settings: Settings,
    now: datetime,
    *,
    days: int = 14,
    slot: timedelta | None = None,
    progress: Callable[[datetime], None] = lambda moment: None,
) -> Forecast:
    """Run the engine ahead on a copy of the ledger, in which every message is taken at once.

    The real ledger is copied under its lock and otherwise left alone.

    Args:
        settings: home and sequences.
        now: where the forecast begins.
        days: how many days of the workspace's zone, today included.
        slot: least time between two ticks; None = as fine as windows and late policies need.
        progress: told the moment after each tick.

    Raises:
        DripError: no ledger, a broken file, days that make no sense.
    """
    if not 1 <= days <= _MOST_DAYS:
        raise DripError(f"A forecast of {days} days makes no sense: ask for 1 to {_MOST_DAYS}.")
    began = time.perf_counter()
    workspace, sequences = load_files(settings.sequences)
    bounds = _day_bounds(workspace.timezone, now, days)
    with open_private(settings.home, settings.memory_limit, copy=True) as stage:
        _check_moment(stage.con, now)
        marks = {
            "last_outcome": _last_row(stage.con, "send_outcomes"),
            "last_why": _last_row(stage.con, "why"),
        }
        rehearsal = Rehearsal(stage, settings, workspace, sequences)
        step = choose_slot(sequences, _usual_slot(stage.con)) if slot is None else slot
        moments = rehearsal.run_until(now, bounds[-1][2], step, progress)
        rows = _count(stage.con, bounds, marks)
        assumptions = _assumptions(stage.con, settings.home, step)
    return Forecast(
        from_at=now,
        to_at=bounds[-1][2],
        timezone=workspace.timezone,
        days=[day for day, _, _ in bounds],
        **rows,
        assumptions=assumptions,
        ticks=len(moments),
        seconds=time.perf_counter() - began,
    )


def _usual_slot(con: duckdb.DuckDBPyConnection) -> timedelta:
    is_large = fetch_value(con, "select count(*) from live") >= _LARGE
    return timedelta(hours=1) if is_large else SLOT


def _check_moment(con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    last = fetch_value(con, "select max(started_at) from jobs where job = 'tick'")
    if last is not None and last > now:
        raise DripError(
            f"The last tick was at {last.astimezone(UTC):%Y-%m-%d %H:%M} UTC, later than the "
            f"moment asked for. Write `--now {last.astimezone(UTC).isoformat()}` or a later one."
        )


def _last_row(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """Return the last row of a table that is only appended to; -1 when it is empty."""
    rows = con.table(table).aggregate("coalesce(max(rowid), -1)").fetchall()
    return int(rows[0][0])


def _day_bounds(zone: str, now: datetime, days: int) -> list[tuple[date, datetime, datetime]]:
    """Return the days with their first instant and the one after their last."""
    today = now.astimezone(ZoneInfo(zone)).date()
    dates = [today + timedelta(days=n) for n in range(days + 1)]
    midnights = [local_to_utc(datetime(d.year, d.month, d.day), zone) for d in dates]  # noqa: DTZ001
    return list(zip(dates[:-1], [now, *midnights[1:-1]], midnights[1:], strict=True))


def _count(
    con: duckdb.DuckDBPyConnection,
    bounds: list[tuple[date, datetime, datetime]],
    marks: dict[str, int],
) -> dict[str, list[dict[str, Any]]]:
    con.register("day_bounds", pl.DataFrame(bounds, schema=_DAY_SCHEMA, orient="row"))
    con.execute("create or replace temp table forecast_day as from day_bounds")
    con.unregister("day_bounds")
    run_file(con, _SQL, last_outcome=marks["last_outcome"], last_why=marks["last_why"])

    def rows(table: str) -> list[dict[str, Any]]:
        found: pl.DataFrame = con.table(table).pl()
        return found.sort(found.columns).to_dicts()

    decisions = rows("forecast_decisions")
    limits = [row for row in decisions if _is_limit(row)]
    return {
        "messages": rows("forecast_messages"),
        "limits": limits,
        "decisions": [row for row in decisions if row not in limits],
    }


def _is_limit(row: dict[str, Any]) -> bool:
    reason = row["reason"] or ""
    if row["outcome"] == "postponed":
        return reason not in _WISHES
    return row["outcome"] == "skipped" and reason.endswith(("_cap", "_gap"))


def _assumptions(con: duckdb.DuckDBPyConnection, home: Path, slot: timedelta) -> list[str]:
    told = [
        "No lead comes; whoever is in the ledger is enrolled by the rules as they stand.",
        "Nobody opens, clicks, replies, leaves or buys: of the steps for those who did not react "
        "there will be fewer, of those for people who did there will be some.",
        "Every message is taken at once: none is refused, none tried again, the engine never "
        f"sleeps. It was run at most every {int(slot.total_seconds()) // 60} minutes.",
        "Experiments go on with today's weights, preferred hours with today's scores.",
    ]
    paused = fetch_value(con, "select count(*) from live where is_paused")
    if paused:
        told.append(f"{paused} paused enrollments stay paused.")
    if (home / "STOP").exists():
        told.append("STOP is in force: this is what comes once the file is removed, as if now.")
    return told
