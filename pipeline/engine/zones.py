"""Periods of constant offset of time zones, as a relation, so that local time is set-based.

Belongs here: the temp table `zone_period`. Does not: windows and holidays (`sequences.calendars`),
rules for gaps and overlaps, which stand in `advance.sql` (R2).
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "zone": pl.String,
    "from_at": pl.Datetime("us", "UTC"),
    "to_at": pl.Datetime("us", "UTC"),
    "offset_seconds": pl.Int64,
}


@lru_cache(maxsize=4096)
def zone_periods(
    zone: str, start: datetime, end: datetime
) -> tuple[tuple[datetime, datetime, int], ...]:
    """Return (from, to, offset in seconds) of the zone between two UTC moments, without gaps.

    >>> from datetime import UTC, datetime
    >>> a, b = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    >>> [(p[1].isoformat(), p[2]) for p in zone_periods("America/New_York", a, b)]
    [('2026-03-08T07:00:00+00:00', -18000), ('2026-04-01T00:00:00+00:00', -14400)]
    """
    info = ZoneInfo(zone)
    periods = []
    begin, offset = start, _offset(start, info)
    probe = start
    while probe < end:
        following = min(probe + timedelta(days=1), end)
        if _offset(following, info) != offset:
            change = _bisect(probe, following, offset, info)
            periods.append((begin, change, offset))
            begin, offset = change, _offset(change, info)
            following = change
        probe = following
    periods.append((begin, end, offset))
    return tuple(periods)


def _offset(moment: datetime, info: ZoneInfo) -> int:
    offset = moment.astimezone(info).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def _bisect(low: datetime, high: datetime, offset: int, info: ZoneInfo) -> datetime:
    """Find the first second after `low` whose offset differs."""
    before, after = 0, int((high - low).total_seconds())
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(low + timedelta(seconds=middle), info) == offset:
            before = middle
        else:
            after = middle
    return low + timedelta(seconds=after)


def create_zone_periods(
    con: duckdb.DuckDBPyConnection, zones: list[str], first: datetime, last: datetime
) -> None:
    """Create the temp table `zone_period` for all moments a due time can fall on.

    Args:
        con: an open ledger.
        zones: IANA names.
        first: earliest anchor.
        last: latest due time.
    """
    # Whole days keep the cache warm from tick to tick; two days cover any offset.
    start = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(days=2)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=3)
    rows = [
        (zone, begin, finish, offset)
        for zone in zones
        for begin, finish, offset in zone_periods(zone, start, end)
    ]
    frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    con.register("zone_frame", frame)
    con.execute("create or replace temp table zone_period as select * from zone_frame")
    con.unregister("zone_frame")
