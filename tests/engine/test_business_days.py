"""Business days are numbered once; adding some of them is a difference of numbers."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.business_days import business_days
from pipeline.sequences.closed_days import is_holiday
from tests.engine.conftest import World

DATES = st.dates(date(2020, 1, 1), date(2030, 12, 31))


@given(
    DATES, st.integers(0, 60), st.integers(0, 400), st.sampled_from(["US", "DE-BY", "JP", "02-29"])
)
def test_so_many_business_days_later_is_always_in_the_list(
    first: date, span: int, amount: int, holidays: str
) -> None:
    last = first + timedelta(days=span)
    days = business_days(holidays, first, last, amount)
    assert list(days) == sorted(set(days))
    assert all(d.weekday() < 5 and not is_holiday((holidays,), d) for d in days[1:])
    # Also for who is a day ahead of UTC.
    before = [d for d in days if d <= last + timedelta(days=1)]
    assert len(days) >= len(before) + amount


def test_a_calendar_that_is_always_closed_comes_to_an_end() -> None:
    every_date = " ".join(f"{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 32))
    day = date(2026, 1, 5)
    assert business_days(every_date_of_a_year(every_date), day, day, 3) == (date(2026, 1, 3),)


def every_date_of_a_year(text: str) -> str:
    return " ".join(part for part in text.split() if part not in NO_DATES)


NO_DATES = {"02-30", "02-31", "04-31", "06-31", "09-31", "11-31"}


def test_the_step_after_three_business_days_waits_for_the_end_of_the_holidays(world: World) -> None:
    world.sequence(
        "one",
        "  - {id: a, channel: email, subject: A, body: templates/hello.md}\n"
        "  - {id: b, after: 1bd, channel: email, subject: B, body: templates/hello.md}\n",
        calendar="calendar: {holidays: [US], hours: '09:00-17:00'}\n",
    )
    # Friday, 10:00 in New York; the Monday after it is Martin Luther King's day.
    world.now = datetime(2026, 1, 16, 15, tzinfo=UTC)
    world.leads(1)
    world.tick()
    world.tick_until(datetime(2026, 1, 30, tzinfo=UTC))
    assert world.rows("select claimed_at from sends order by all") == [
        (datetime(2026, 1, 16, 15, tzinfo=UTC),),
        (datetime(2026, 1, 20, 15, tzinfo=UTC),),
    ]
