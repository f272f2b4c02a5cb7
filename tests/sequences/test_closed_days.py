"""Holidays by country, part of a country, date; each year's dates, checked against an almanac."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sequences.closed_days import holidays_in, is_holiday, read_holidays
from tests.reference.interpreter import HOLIDAYS


@pytest.mark.parametrize("name", ["US", "DE-BY"])
@pytest.mark.parametrize("year", [2026, 2027, 2028])
def test_the_library_knows_what_the_almanac_says(name: str, year: int) -> None:
    written = {day for day in HOLIDAYS[name] if day.startswith(str(year))}
    assert {day.isoformat() for day in holidays_in((name,), year)} == written


def test_names_dates_and_yearly_dates_stand_side_by_side() -> None:
    named = read_holidays(["12-24", "US", "2026-08-03"])
    assert named == ("12-24", "2026-08-03", "US")
    assert is_holiday(named, date(2026, 8, 3))
    assert not is_holiday(named, date(2027, 8, 3))
    assert is_holiday(named, date(2031, 12, 24))
    assert is_holiday(named, date(2027, 7, 5))
    assert not is_holiday((), date(2026, 12, 25))


def test_nothing_written_is_no_holiday() -> None:
    assert read_holidays(None) == read_holidays([]) == ()
    assert read_holidays("NO") == ("NO",)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("Bavaria", "no holidays are known of 'Bavaria': write a country such as US"),
        ("XX", "no holidays are known of 'XX'"),
        ("us", "no holidays are known of 'us'"),
        ("DE-BX", "DE has no part 'BX' with holidays of its own: write DE alone, or one of BB, "),
        ("2026-13-01", 'is no date: write "2026-12-24"'),
        ("2026-1-1", "is no date"),
        ("02-30", "is no date"),
        (True, "True are no holidays"),
        ([["US"]], "are no holidays"),
        ("", "no holidays are known"),
    ],
)
def test_what_names_no_holidays_is_refused(value: object, says: str) -> None:
    with pytest.raises(ValueError, match=r"holidays|date") as refused:
        read_holidays(value)
    assert says in str(refused.value)


@given(st.dates(date(1950, 1, 1), date(2090, 1, 1)))
def test_the_29th_of_february_comes_in_leap_years_only(day: date) -> None:
    assert is_holiday(("02-29",), day) == ((day.month, day.day) == (2, 29))
    assert len(holidays_in(("02-29",), day.year)) == (
        (date(day.year, 3, 1) - timedelta(days=1)).day == 29
    )
