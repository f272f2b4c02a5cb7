"""Holidays of a calendar: which local dates open no window and are no business days (R2, R3).

Belongs here: what `calendar.holidays` may name, and its dates. Does not: windows (`calendars`),
due times (`engine`). Whose dates they are, the zone says: a holiday is a date on its wall clock.
"""

import re
from calendar import isleap
from datetime import date
from functools import lru_cache

import holidays

_COUNTRY = re.compile(r"([A-Z]{2})(?:-([A-Za-z0-9]{1,20}))?")
_EVERY_YEAR = re.compile(r"(\d\d)-(\d\d)")
_LEAP_YEAR = 2028
_HOW = "write a country such as US or DE, a part of one such as DE-BY, or a list of these and dates"


def read_holidays(value: object) -> tuple[str, ...]:
    """Read `calendar.holidays`: countries, parts of countries, dates, or none of them.

    >>> read_holidays("DE-BY")
    ('DE-BY',)
    >>> read_holidays(["US", "2026-12-24", "08-15"])
    ('08-15', '2026-12-24', 'US')

    Raises:
        ValueError: something that names no holidays; the message says what to write.
    """
    if value is None:
        return ()
    return tuple(sorted({_read(part) for part in (value if isinstance(value, list) else [value])}))


def _read(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} are no holidays: {_HOW}")
    if value[:1].isdigit():
        return _read_date(value)
    match = _COUNTRY.fullmatch(value)
    countries = holidays.list_supported_countries(include_aliases=False)
    if match is None or match[1] not in countries:
        raise ValueError(f"no holidays are known of {value!r}: {_HOW}")
    parts = countries[match[1]]
    if match[2] is not None and match[2] not in parts:
        what = f"{match[1]} has no part {match[2]!r} with holidays of its own"
        raise ValueError(f"{what}: write {match[1]} alone, or one of {', '.join(parts) or 'none'}")
    return value


def _read_date(value: str) -> str:
    text = f"{_LEAP_YEAR}-{value}" if _EVERY_YEAR.fullmatch(value) else value
    try:
        is_whole = date.fromisoformat(text).isoformat() == text
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ValueError(f'{value!r} is no date: write "2026-12-24", or "12-24" for every year')
    return value


@lru_cache(maxsize=4096)
def holidays_in(named: tuple[str, ...], year: int) -> frozenset[date]:
    """Return the dates of one year on which the named holidays fall, substitute days included.

    >>> sorted(day.isoformat() for day in holidays_in(("2026-12-24", "US"), 2026))[-3:]
    ['2026-11-26', '2026-12-24', '2026-12-25']
    """
    found: set[date] = set()
    for name in named:
        found |= _dates(name, year)
    return frozenset(found)


def _dates(name: str, year: int) -> set[date]:
    if match := _EVERY_YEAR.fullmatch(name):
        month, day = int(match[1]), int(match[2])
        # The 29th of February comes in leap years only.
        is_there = (month, day) != (2, 29) or isleap(year)
        return {date(year, month, day)} if is_there else set()
    if name[:1].isdigit():
        day_meant = date.fromisoformat(name)
        return {day_meant} if day_meant.year == year else set()
    country, _, part = name.partition("-")
    return set(holidays.country_holidays(country, subdiv=part or None, years=year))


def is_holiday(named: tuple[str, ...], day: date) -> bool:
    """Whether the date is one of the named holidays."""
    return bool(named) and day in holidays_in(named, day.year)
