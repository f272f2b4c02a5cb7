"""Durations as people write them: `30m`, `12h`, `3d`, `2w`, `2bd`.

Belongs here: reading them, as a delay of a step or as plain seconds. Does not: adding them to an
instant (`engine`, by rules.md R2).
"""

import re
from typing import Literal

from pipeline.sequences.compiled import Delay

SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
LONGEST_DAYS = 1830
_PATTERN = re.compile(r"(\d{1,7})(m|h|d|w|bd)")
_HOW = "write a whole number with a unit: 30m, 12h, 3d, 2w or 2bd (business days)"
_HOW_ELAPSED = "write a whole number with a unit: 30m, 12h, 3d or 2w"


def parse_delay(text: str, since: Literal["previous", "enrollment"] = "previous") -> Delay:
    """Read a step's delay; minutes and hours elapse, days and weeks keep the wall time (R2).

    >>> parse_delay("12h")
    Delay(unit='seconds', amount=43200, since='previous')
    >>> parse_delay("1w").amount, parse_delay("1w").unit
    (7, 'days')

    Raises:
        ValueError: it is no duration; the message says what to write.
    """
    amount, unit = _split(text, _HOW)
    if unit == "bd":
        return Delay("business_days", amount, since)
    if unit in {"d", "w"}:
        return Delay("days", amount * SECONDS[unit] // SECONDS["d"], since)
    return Delay("seconds", amount * SECONDS[unit], since)


def write_delay(delay: Delay) -> str:
    """Write a delay as a file would, in the largest unit that fits; nothing for no delay.

    >>> write_delay(parse_delay("90m")), write_delay(parse_delay("14d", "enrollment"))
    ('90m', '2w since enrollment')
    """
    if delay.amount == 0 and delay.unit == "seconds":
        return ""
    since = " since enrollment" if delay.since == "enrollment" else ""
    if delay.unit == "business_days":
        return f"{delay.amount}bd{since}"
    seconds = delay.amount * (SECONDS["d"] if delay.unit == "days" else 1)
    units = ("w", "d") if delay.unit == "days" else ("h", "m")
    unit = next((u for u in units if seconds % SECONDS[u] == 0 and seconds), units[-1])
    return f"{seconds // SECONDS[unit]}{unit}{since}"


def parse_seconds(text: str) -> int:
    """Read a plain span of time; a day has 24 hours here.

    >>> parse_seconds("2d")
    172800

    Raises:
        ValueError: it is no duration, or business days.
    """
    amount, unit = _split(text, _HOW_ELAPSED)
    if unit == "bd":
        raise ValueError(f"{text!r} counts business days, this is a plain span: {_HOW_ELAPSED}")
    return amount * SECONDS[unit]


def _split(text: object, how: str) -> tuple[int, str]:
    match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no duration: {how}")
    amount, unit = int(match[1]), match[2]
    if amount * SECONDS.get(unit, SECONDS["d"]) > LONGEST_DAYS * SECONDS["d"]:
        raise ValueError(f"{text!r} is longer than {LONGEST_DAYS} days: write a shorter duration")
    return amount, unit
