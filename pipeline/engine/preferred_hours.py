"""Preferred hours: among the open hours that a day still has, one block is drawn for each message.

Belongs here: which blocks are open in a calendar and zone, and the draw. Does not: the scores
(`preferred_scores`), windows (`plan`), what becomes of the step (`plan_outcomes`).

Windows, quiet hours and the day on which the message could first go stay the limits: a block only
chooses among them. Each message is drawn for once; whatever postpones it later has the last word.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from pipeline.engine.preferred_scores import BLOCK_HOURS, BLOCKS, HourScores, weigh_blocks
from pipeline.engine.programme import Programme
from pipeline.ledger.statements import run_file
from pipeline.sequences.calendars import local_to_utc

_HERE = Path(__file__).parent
# All windows that may overlap the local day of the tick, in any zone; cut to that day below.
_OPEN = """
select c.sequence_id, c.window_id, c.zone, w.open_at, w.close_at
from (
    select distinct sequence_id, window_id, zone
    from candidates
    where sequence_id in (select unnest($asking::varchar[]))
) as c
inner join open_window as w on c.window_id = w.window_id and c.zone = w.zone
where w.close_at > $now and w.open_at < $now::timestamptz + interval 26 hours
order by all
"""
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "window_id": pl.String,
    "zone": pl.String,
    "day_starts_at": pl.Datetime("us", "UTC"),
    "local_on": pl.Date,
    "block": pl.Int16,
    "slot_at": pl.Datetime("us", "UTC"),
    "low": pl.Float64,
    "high": pl.Float64,
    "propensity": pl.Float64,
    "scored_at": pl.Datetime("us", "UTC"),
}

Span = tuple[datetime, datetime]


def apply_preferred_hours(
    con: duckdb.DuckDBPyConnection, programme: Programme, salt: str, now: datetime
) -> None:
    """Draw a block for each of `candidates` that has a choice; a later one is waited for.

    Without published scores of a sequence that asks for them nothing is done.

    Args:
        con: the ledger, with `candidates`, `drawing` and `open_window` of this pass.
        programme: with the scores.
        salt: of the workspace, for the hash that draws.
        now: the moment of the tick.
    """
    if not programme.hour_scores:
        return
    asking = sorted(programme.hour_scores)
    windows = con.execute(_OPEN, {"asking": asking, "now": now}).fetchall()
    rows = [
        row
        for (sequence_id, window_id, zone), spans in groupby(windows, key=lambda row: row[:3])
        for row in _choices(
            programme.hour_scores[sequence_id],
            window_id,
            zone,
            [(open_at, close_at) for *_, open_at, close_at in spans],
            now,
        )
    ]
    if not rows:
        return
    con.register("hour_choice", pl.DataFrame(rows, schema=_SCHEMA, orient="row"))
    run_file(con, _HERE / "preferred_hours.sql", salt=salt)
    con.unregister("hour_choice")


def _choices(
    published: HourScores, window_id: str, zone: str, spans: Sequence[Span], now: datetime
) -> Iterator[tuple[Any, ...]]:
    """Yield the ranges of the blocks that can be drawn now; none where there is no choice."""
    day_starts_at, slots = open_blocks(zone, spans, now)
    today = now.astimezone(ZoneInfo(zone)).date()
    shares = weigh_blocks(published, today.weekday(), list(slots))
    low = 0.0
    for block, share in (shares or {}).items():
        # The last range is open, so that rounding leaves nobody without a block.
        high = 2.0 if block == max(slots) else low + share
        yield (
            *(window_id, zone, day_starts_at, today, block, slots[block]),
            *(low, high, share, published.scored_at),
        )
        low += share


def open_blocks(
    zone: str, spans: Sequence[Span], now: datetime
) -> tuple[datetime, dict[int, datetime]]:
    """Return when the local day of `now` began, and the first instant of each block still open.

    Args:
        zone: IANA name; blocks are four hours of its wall clock.
        spans: open windows, half-open, ascending, whether of this day or not.
        now: nothing before it counts.
    """
    local = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    bounds = [
        local_to_utc(midnight + timedelta(hours=BLOCK_HOURS * number), zone)
        for number in range(BLOCKS + 1)
    ]
    slots = {}
    for block in range(BLOCKS):
        begins, ends = max(bounds[block], now), bounds[block + 1]
        firsts = [
            max(open_at, begins)
            for open_at, close_at in spans
            if max(open_at, begins) < min(close_at, ends)
        ]
        if firsts:
            slots[block] = min(firsts)
    return bounds[0], slots
