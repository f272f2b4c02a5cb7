"""What a category stands for: calendar and limits of a sequence that does not write its own (K18).

Belongs here: the one table of presets, and laying it under a file. Does not: what the fields mean
(`model`). Whatever a file writes wins, field by field.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

WEEKDAYS = ["mon", "tue", "wed", "thu", "fri"]

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        # Strangers: not on the days that begin and end a week of work (requirements.md 113).
        "cold": {
            "calendar": {"days": ["tue", "wed", "thu"], "hours": "09:00-17:00"},
            "limits": {"per_lead": 5},
        },
        # Who asked to hear from us: up to seven contacts (requirements.md 20).
        "nurture": {
            "calendar": {"days": WEEKDAYS, "hours": "09:00-17:00"},
            "limits": {"per_lead": 7},
        },
        # After a talk or an offer: soon, also before and after the office.
        "follow_up": {
            "calendar": {"days": WEEKDAYS, "hours": "08:00-18:00"},
            "limits": {"per_lead": 5},
        },
        # Who went quiet long ago: few, in the middle of the day.
        "win_back": {
            "calendar": {"days": WEEKDAYS, "hours": "10:00-16:00"},
            "limits": {"per_lead": 3},
        },
        # R3, K23.
        "custom": {
            "calendar": {"days": WEEKDAYS, "hours": "09:00-17:00"},
            "limits": {"per_lead": 5},
        },
    }
)
DEFAULT_CATEGORY = "custom"


def with_preset(data: object) -> object:
    """Lay the preset of its category under a sequence file; what is no mapping stays as it is.

    >>> with_preset({"category": "cold", "calendar": {"hours": "10:00-12:00"}})["calendar"]
    {'days': ['tue', 'wed', 'thu'], 'hours': '10:00-12:00'}
    """
    if not isinstance(data, dict):
        return data
    category = data.get("category", DEFAULT_CATEGORY)
    preset = PRESETS.get(category) if isinstance(category, str) else None
    return {**data, **_sections(data, preset or {})}


def _sections(
    data: Mapping[str, Any], preset: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    sections = {}
    for name, values in preset.items():
        written = data.get(name, {})
        if isinstance(written, dict):
            sections[name] = {**values, **written}
    return sections
