"""When a sequence may contact people: windows in a zone as instants in UTC (rules.md R2, R3).

Belongs here: the calendar and the arithmetic of wall clocks. Does not: due times of steps and
caps (`engine`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from pipeline.sequences.closed_days import is_holiday

DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_PER_DAY = 24 * 60


@dataclass(frozen=True)
class Calendar:
    """Days and hours in which a sequence may contact people.

    Attributes:
        timezone: An IANA name, or `lead` for the zone of each lead.
        fallback_timezone: Zone of leads whose own is unknown.
        days: Days on which windows open, 0 = Monday.
        windows: Opening and closing minute after midnight of the opening day, ascending. A closing
            minute above 1440 lies on the next day.
        holidays: Names of holidays (`closed_days`), ascending; on their dates no window opens.
        quiet: Hours of a channel, like windows, in which nobody is contacted on any day (R3).
        prefers_hours: Of the open hours of a day, one is drawn by the published scores.
    """

    timezone: str = "lead"
    fallback_timezone: str = "America/New_York"
    days: tuple[int, ...] = (0, 1, 2, 3, 4)
    windows: tuple[tuple[int, int], ...] = ((9 * 60, 17 * 60),)
    holidays: tuple[str, ...] = ()
    quiet: tuple[tuple[int, int], ...] = ()
    prefers_hours: bool = False

    @property
    def is_always_open(self) -> bool:
        """Whether every instant is inside a window, in every zone."""
        every_day = len(set(self.days)) == len(DAY_NAMES) and not (self.holidays or self.quiet)
        return every_day and (0, MINUTES_PER_DAY) in self.windows


def local_to_utc(local: datetime, zone: str) -> datetime:
    """Turn a wall time without zone into an instant in UTC.

    A time that the clocks skip becomes the first instant after the gap, a time that occurs twice
    the first of the two (R2).

    >>> local_to_utc(datetime(2026, 3, 8, 2, 30), "America/New_York").isoformat()
    '2026-03-08T07:00:00+00:00'
    >>> local_to_utc(datetime(2026, 11, 1, 1, 30), "America/New_York").isoformat()
    '2026-11-01T05:30:00+00:00'
    """
    info = ZoneInfo(zone)
    instant = local.replace(tzinfo=info, fold=0).astimezone(UTC)
    if instant.astimezone(info).replace(tzinfo=None, fold=0) == local.replace(fold=0):
        return instant
    return _end_of_gap(local, info)


def _end_of_gap(local: datetime, info: ZoneInfo) -> datetime:
    """Find the instant at which the clocks jump over `local`, to the second."""
    before = local.replace(tzinfo=info, fold=0).utcoffset() or timedelta()
    after = local.replace(tzinfo=info, fold=1).utcoffset() or timedelta()
    whole = local.replace(microsecond=0, fold=0, tzinfo=UTC)
    low, high = whole - after - timedelta(seconds=1), whole - before + timedelta(seconds=1)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(info).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def open_windows(
    calendar: Calendar, zone: str, start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """List the open time between two instants as half-open intervals in UTC.

    The intervals are ascending, disjoint and cut to `start` and `end`; windows that touch are one.

    Args:
        calendar: Days and windows; its own `timezone` is not looked at.
        zone: IANA name of the zone whose wall clock counts.
        start: First instant, with a zone.
        end: Instant after the last, with a zone.
    """
    found: list[tuple[datetime, datetime]] = []
    for opens, closes in sorted(_windows(calendar, zone, start, end)):
        opens_at, closes_at = max(opens, start.astimezone(UTC)), min(closes, end.astimezone(UTC))
        if opens_at >= closes_at:
            continue
        if found and opens_at <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], closes_at))
        else:
            found.append((opens_at, closes_at))
    return list(_without_quiet(found, calendar, zone)) if calendar.quiet else found


def _without_quiet(
    found: list[tuple[datetime, datetime]], calendar: Calendar, zone: str
) -> Iterator[tuple[datetime, datetime]]:
    if not found:
        return
    every_day = Calendar(days=tuple(range(7)), windows=calendar.quiet)
    quiet = open_windows(every_day, zone, found[0][0], found[-1][1])
    for opens_at, closes_at in found:
        begin = opens_at
        for quiet_from, quiet_to in quiet:
            if quiet_to <= begin or quiet_from >= closes_at:
                continue
            if quiet_from > begin:
                yield begin, quiet_from
            begin = quiet_to
        if begin < closes_at:
            yield begin, closes_at


def _windows(
    calendar: Calendar, zone: str, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    info = ZoneInfo(zone)
    # A window may have opened a day earlier; one more day covers zones that skipped a whole date.
    day = start.astimezone(info).date() - timedelta(days=2)
    last = end.astimezone(info).date()
    while day <= last:
        if day.weekday() in calendar.days and not is_holiday(calendar.holidays, day):
            for opens, closes in calendar.windows:
                yield _wall(day, opens, zone), _wall(day, closes, zone)
        day += timedelta(days=1)


def _wall(day: date, minute: int, zone: str) -> datetime:
    midnight = datetime.combine(day, time())
    return local_to_utc(midnight + timedelta(minutes=minute), zone)


@cache
def list_zones() -> frozenset[str]:
    """Return the names of all zones; looking them up walks a thousand files, once."""
    return frozenset(available_timezones())
