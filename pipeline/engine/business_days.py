"""Business days of calendars with holidays, numbered, so that adding some of them is one join (R2).

Belongs here: the temp table `business_day`. Does not: what a holiday is (`sequences.closed_days`),
business days without holidays, which `advance_due.sql` computes from the weekday.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

import duckdb
import polars as pl

from pipeline.sequences.closed_days import is_holiday

_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "holidays": pl.String,
    "day": pl.Datetime("us"),
    "number": pl.Int64,
}
_FRIDAY = 4
# A calendar that is closed for longer does not count its business days: holidays are left out then.
_FARTHEST = timedelta(days=12 * 366)
_WANTED = """
with amounts as (
    select holidays, delay_unit, delay_amount, enrolled_at, settled_at from stepping
    union all
    select t.holidays, r.delay_unit, r.delay_amount, t.enrolled_at, t.settled_at
    from stepping as t
    inner join arm_range as r on t.version_id = r.version_id and t.next_ix = r.step_ix
)

select
    holidays,
    timezone('UTC', min(least(enrolled_at, settled_at)))::date,
    timezone('UTC', max(greatest(enrolled_at, settled_at)))::date,
    max(delay_amount)
from amounts
where holidays is not null and delay_unit = 'business_days'
group by holidays
"""


def create_business_days(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """Create the temp table `business_day` for what is in `stepping`.

    Returns:
        Midnight, in UTC, of the last day that it holds; None when nothing waits for business days
        in a calendar with holidays.
    """
    rows = [
        (holidays, datetime.combine(day, time()), number)
        for holidays, first, last, amount in con.execute(_WANTED).fetchall()
        for number, day in enumerate(business_days(holidays, first, last, int(amount)))
    ]
    con.register("business_day_frame", pl.DataFrame(rows, schema=_SCHEMA, orient="row"))
    con.execute("create or replace temp table business_day as select * from business_day_frame")
    con.unregister("business_day_frame")
    return max((day.replace(tzinfo=UTC) for _, day, _ in rows), default=None)


@lru_cache(maxsize=256)
def business_days(holidays: str, first: date, last: date, amount: int) -> tuple[date, ...]:
    """List the business days from around `first` to `amount` of them behind `last`.

    The day before the first may be none: it stands for the last one before all of them.

    >>> days = business_days("US", date(2026, 12, 24), date(2026, 12, 24), 2)
    >>> [day.isoformat() for day in days]
    ['2026-12-22', '2026-12-23', '2026-12-24', '2026-12-28', '2026-12-29']
    """
    # A zone may be a day ahead of UTC or behind it.
    start, anchor = first - timedelta(days=2), last + timedelta(days=1)
    return (start, *_from(holidays, start + timedelta(days=1), anchor, amount))


def _from(holidays: str, start: date, anchor: date, amount: int) -> Iterator[date]:
    named, day, beyond = tuple(holidays.split()), start, 0
    while day <= anchor or (beyond < amount and day < anchor + _FARTHEST):
        if day.weekday() <= _FRIDAY and not is_holiday(named, day):
            yield day
            beyond += day > anchor
        day += timedelta(days=1)
