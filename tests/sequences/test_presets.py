"""Presets: what a category brings, and that a file's own words win, field by field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sequences.calendars import DAY_NAMES, Calendar
from pipeline.sequences.compiled import Limits
from pipeline.sequences.model import SequenceFile, read_model
from pipeline.sequences.presets import PRESETS, with_preset
from pipeline.sequences.problems import Problem
from pipeline.sequences.yaml_file import YamlFile

STEP = {"id": "a", "channel": "email", "subject": "Hi", "body": "templates/a.md"}


def read(**fields: Any) -> SequenceFile:
    found: list[Problem] = []
    file = read_model(SequenceFile, YamlFile("s.yml", {"steps": [STEP], **fields}, {}), found)
    assert file, found
    return file


def test_every_category_has_a_preset_and_custom_is_what_r3_says() -> None:
    assert set(PRESETS) == {"cold", "nurture", "follow_up", "win_back", "custom"}
    for category in PRESETS:
        read(category=category)
    file = read()
    assert file == read(category="custom")
    assert (file.calendar.days, file.calendar.hours) == (Calendar().days, Calendar().windows)
    assert file.limits.per_lead == Limits().per_lead


def test_cold_mail_stays_away_from_monday_and_friday() -> None:
    file = read(category="cold")
    assert [DAY_NAMES[day] for day in file.calendar.days] == ["tue", "wed", "thu"]


def test_a_line_of_the_file_wins_and_the_others_stay() -> None:
    file = read(category="win_back", calendar={"days": ["sun"]}, limits={"per_day": 9})
    assert (file.calendar.days, file.calendar.hours) == ((6,), ((600, 960),))
    assert (file.limits.per_day, file.limits.per_lead) == (9, 3)


WRITTEN = st.fixed_dictionaries(
    {},
    optional={
        "category": st.sampled_from([*PRESETS, "cool", 3, None]),
        "calendar": st.one_of(
            st.none(),
            st.text(max_size=3),
            st.dictionaries(st.sampled_from(["days", "hours", "holidays"]), st.text(max_size=3)),
        ),
        "limits": st.dictionaries(st.sampled_from(["per_day", "per_lead", "x"]), st.integers()),
        "owner": st.text(max_size=3),
    },
)


@given(WRITTEN)
def test_nothing_that_is_written_is_lost(written: dict[str, Any]) -> None:
    merged = with_preset(written)
    assert isinstance(merged, dict)
    for name, value in written.items():
        if isinstance(value, dict):
            assert merged[name].items() >= value.items()
        else:
            assert merged[name] == value
    assert with_preset(merged) == merged


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_what_is_no_mapping_is_left_for_the_model_to_refuse(data: object) -> None:
    assert with_preset(data) is data
