from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sequences.calendars import Calendar, local_to_utc, open_windows

# Half-hour gaps, southern summers, gaps at midnight, a skipped date, a zone without changes.
ZONES = [
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Asia/Kolkata",
    "America/St_Johns",
    "Pacific/Chatham",
    "Antarctica/Troll",
]
NAIVE = st.datetimes(datetime(2010, 1, 1), datetime(2027, 12, 31))  # noqa: DTZ001
EVERY_DAY = tuple(range(7))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("local", "zone", "utc"),
    [
        pytest.param("2026-03-08T02:30", "America/New_York", "2026-03-08T07:00", id="gap"),
        pytest.param("2026-11-01T01:30", "America/New_York", "2026-11-01T05:30", id="overlap"),
        pytest.param("2026-03-29T02:00", "Europe/Berlin", "2026-03-29T01:00", id="gap begins"),
        pytest.param("2026-10-04T02:10", "Australia/Lord_Howe", "2026-10-03T15:30", id="half hour"),
        pytest.param("2018-11-04T00:00", "America/Sao_Paulo", "2018-11-04T03:00", id="midnight"),
        pytest.param("2011-12-30T12:00", "Pacific/Apia", "2011-12-30T10:00", id="skipped date"),
        pytest.param("2026-06-01T12:00", "Asia/Kolkata", "2026-06-01T06:30", id="no change"),
    ],
)
def test_a_wall_time_becomes_the_instant_that_r2_says(local: str, zone: str, utc: str) -> None:
    assert local_to_utc(datetime.fromisoformat(local), zone) == at(utc)


@given(NAIVE, st.sampled_from(ZONES))
def test_an_instant_shows_its_wall_time_or_the_first_one_after_the_gap(
    local: datetime, zone: str
) -> None:
    info = ZoneInfo(zone)
    instant = local_to_utc(local, zone)
    shown = instant.astimezone(info).replace(tzinfo=None)
    assert shown >= local
    just_before = (instant - timedelta(microseconds=1)).astimezone(info).replace(tzinfo=None)
    assert just_before < local


@given(NAIVE, st.integers(0, 3000), st.sampled_from(ZONES))
def test_later_wall_times_are_never_earlier_instants(
    local: datetime, minutes: int, zone: str
) -> None:
    # Only an overlap may map two wall times to instants further apart; never in the wrong order.
    later = local + timedelta(minutes=minutes)
    assert local_to_utc(later, zone) >= local_to_utc(local, zone)


def test_a_friday_night_window_covers_saturday_morning() -> None:
    calendar = Calendar(days=(4,), windows=((22 * 60, 26 * 60),))
    found = open_windows(calendar, "Europe/Berlin", at("2026-06-01"), at("2026-06-09"))
    assert found == [(at("2026-06-05T20:00"), at("2026-06-06T00:00"))]


def test_a_window_that_opened_yesterday_is_open_now() -> None:
    calendar = Calendar(days=(4,), windows=((22 * 60, 26 * 60),))
    found = open_windows(calendar, "UTC", at("2026-06-06T01:00"), at("2026-06-06T12:00"))
    assert found == [(at("2026-06-06T01:00"), at("2026-06-06T02:00"))]


def test_always_open_is_one_interval_across_a_clock_change() -> None:
    calendar = Calendar(days=EVERY_DAY, windows=((0, 1440),))
    assert calendar.is_always_open
    start, end = at("2026-03-20"), at("2026-04-10")
    assert open_windows(calendar, "Europe/Berlin", start, end) == [(start, end)]


def test_the_default_calendar_is_office_hours_on_workdays() -> None:
    found = open_windows(Calendar(), "America/New_York", at("2026-06-05"), at("2026-06-09"))
    assert found == [
        (at("2026-06-05T13:00"), at("2026-06-05T21:00")),
        (at("2026-06-08T13:00"), at("2026-06-08T21:00")),
    ]
    assert not Calendar().is_always_open


def test_a_window_inside_a_gap_does_not_open() -> None:
    calendar = Calendar(days=EVERY_DAY, windows=((130, 170),))
    found = open_windows(calendar, "America/New_York", at("2026-03-08"), at("2026-03-09"))
    assert found == []


def test_windows_of_one_day_that_overlap_are_one() -> None:
    calendar = Calendar(days=EVERY_DAY, windows=((540, 720), (660, 1020)))
    found = open_windows(calendar, "UTC", at("2026-06-01"), at("2026-06-02"))
    assert found == [(at("2026-06-01T09:00"), at("2026-06-01T17:00"))]


WINDOWS = st.lists(
    st.tuples(st.integers(0, 1439), st.integers(1, 1440)).map(lambda w: (w[0], w[0] + w[1])),
    min_size=1,
    max_size=3,
).map(lambda windows: tuple(sorted(windows)))
CALENDARS = st.builds(
    Calendar,
    days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    windows=WINDOWS,
)
# Starts within days of clock changes of the zones above.
STARTS = st.sampled_from(
    [at(d) for d in ("2026-03-06", "2026-10-30", "2026-04-03", "2011-12-28", "2018-11-02")]
)


@given(CALENDARS, st.sampled_from(ZONES), STARTS, st.integers(0, 6 * 1440))
def test_an_instant_is_open_when_a_window_of_a_listed_day_holds_it(
    calendar: Calendar, zone: str, start: datetime, minute: int
) -> None:
    end = start + timedelta(days=7)
    instant = start + timedelta(minutes=minute)
    found = open_windows(calendar, zone, start, end)
    is_open = any(opens <= instant < closes for opens, closes in found)

    # The rule by hand: try every day around, both ends turned into instants.
    local = instant.astimezone(ZoneInfo(zone)).date()
    expected = False
    for offset in range(-3, 2):
        day = local + timedelta(days=offset)
        if day.weekday() not in calendar.days:
            continue
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001
        for opens, closes in calendar.windows:
            first = local_to_utc(midnight + timedelta(minutes=opens), zone)
            last = local_to_utc(midnight + timedelta(minutes=closes), zone)
            expected |= first <= instant < last
    assert is_open == expected
    assert all(start <= a < b <= end for a, b in found)
    assert all(b < c for (_, b), (c, _) in pairwise(found))


def test_a_window_that_opens_on_a_holiday_does_not_open() -> None:
    night = Calendar(days=EVERY_DAY, windows=((22 * 60, 26 * 60),), holidays=("US",))
    found = open_windows(night, "America/New_York", at("2026-12-24T12:00"), at("2026-12-27T12:00"))
    # That of Thursday goes on into Christmas, that of Christmas itself is missing.
    assert found == [
        (at("2026-12-25T03:00"), at("2026-12-25T07:00")),
        (at("2026-12-27T03:00"), at("2026-12-27T07:00")),
    ]


def test_a_holiday_is_a_date_on_the_wall_clock_of_the_zone() -> None:
    calendar = Calendar(days=EVERY_DAY, windows=((0, 1440),), holidays=("2026-12-25",))
    assert not calendar.is_always_open
    found = open_windows(calendar, "Asia/Tokyo", at("2026-12-24"), at("2026-12-26"))
    assert found == [
        (at("2026-12-24T00:00"), at("2026-12-24T15:00")),
        (at("2026-12-25T15:00"), at("2026-12-26T00:00")),
    ]


def test_quiet_hours_are_cut_out_of_every_window_on_every_day() -> None:
    calendar = Calendar(
        days=(3,), windows=((8 * 60, 26 * 60),), quiet=((12 * 60, 13 * 60), (21 * 60, 33 * 60))
    )
    # Thursday's window would last until two in the morning.
    assert open_windows(calendar, "UTC", at("2026-06-04"), at("2026-06-06")) == [
        (at("2026-06-04T09:00"), at("2026-06-04T12:00")),
        (at("2026-06-04T13:00"), at("2026-06-04T21:00")),
    ]
    assert not Calendar(days=EVERY_DAY, windows=((0, 1440),), quiet=((0, 60),)).is_always_open


@given(NAIVE, st.integers(0, 3000), st.sampled_from(ZONES))
def test_with_quiet_hours_an_instant_is_open_if_it_was_and_is_not_quiet(
    local: datetime, minutes: int, zone: str
) -> None:
    start, end = local.replace(tzinfo=UTC), local.replace(tzinfo=UTC) + timedelta(days=4)
    hours = Calendar(days=(0, 2, 3, 6), windows=((130, 400), (600, 1500)))
    quiet = Calendar(days=EVERY_DAY, windows=((240, 300), (1300, 1600)))
    both = replace(hours, quiet=quiet.windows)
    moment = start + timedelta(minutes=minutes)

    def is_open(calendar: Calendar) -> bool:
        found = open_windows(calendar, zone, start, end)
        assert all(one[1] <= other[0] for one, other in pairwise(found))
        return any(opens <= moment < closes for opens, closes in found)

    assert is_open(both) == (is_open(hours) and not is_open(quiet))
