"""Due times: elapsed and calendar delays, zones, gaps and overlaps, business days, ends."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.engine.advance import advance
from pipeline.ledger.store import create_ledger, open_ledger
from pipeline.sequences.calendars import local_to_utc
from pipeline.sequences.closed_days import is_holiday

ZONES = [
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Tokyo",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Pacific/Apia",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Europe/Dublin",
]


def advance_one(
    con, zone, settled_at, unit, amount, since="previous", enrolled_at=None, *, holidays=None
):
    """Move one enrollment to step 1, which has the delay, and return its due time."""
    con.execute("delete from live; delete from leads")
    con.execute(
        "insert into leads values (7, $n, 'X', null, $z, '{}', 'live', $n, 1)",
        {"n": settled_at, "z": zone},
    )
    con.execute(
        """
        create or replace temp table step as
        select 1::bigint as version_id, 1::smallint as step_ix, 'email' as kind, $unit as delay_unit, $amount::bigint as delay_amount,
            $since as delay_since, 'lead' as zone_mode, 'America/New_York' as fallback_zone,
            $holidays::varchar as holidays, null::varchar as experiment_id, null::varchar as varies, null::varchar as control,
            null::double as sample_share, false as is_auto, 0.0::double as holdout, false as has_holdout_arm
        """,
        {"unit": unit, "amount": amount, "since": since, "holidays": holidays},
    )
    con.execute(
        """
        create or replace temp table arm_range
        (version_id bigint, step_ix smallint, arm varchar, low double, high double, weight double,
         delay_unit varchar, delay_amount bigint, delay_since varchar);
        create or replace temp table winner (experiment_id varchar, arm varchar)
        """
    )
    con.execute(
        """
        create or replace temp table moving as
        select 1::bigint as enrollment_id, 7::bigint as lead_id, 1::bigint as version_id, 0::smallint as step_ix,
            $enrolled::timestamptz as enrolled_at, false as is_holdout, false as is_paused, false as is_ended,
            1::bigint as sent_mask, 0::bigint as opened_mask, 0::bigint as clicked_mask, false as has_replied,
            false as has_converted, 1::smallint as count_sends, $settled::timestamptz as settled_at,
            1::smallint as next_ix, null::varchar as end_status, null::varchar as end_reason
        """,
        {"settled": settled_at, "enrolled": enrolled_at or settled_at},
    )
    assert advance(con, "salt") == 1
    return con.execute("select due_at from live").fetchall()[0][0]


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    create_ledger(home)
    with open_ledger(home) as con:
        yield con


@pytest.mark.parametrize(
    ("zone", "settled", "unit", "amount", "due"),
    [
        pytest.param(
            "America/New_York", "2026-03-07T15:00Z", "seconds", 86400, "2026-03-08T15:00Z", id="24h"
        ),
        pytest.param(
            "America/New_York", "2026-03-07T15:00Z", "days", 1, "2026-03-08T14:00Z", id="1d-spring"
        ),
        pytest.param(
            "America/New_York", "2026-03-07T07:30Z", "days", 1, "2026-03-08T07:00Z", id="in-the-gap"
        ),
        pytest.param(
            "America/New_York",
            "2026-10-31T05:30Z",
            "days",
            1,
            "2026-11-01T05:30Z",
            id="in-the-overlap",
        ),
        pytest.param(
            "Pacific/Apia",
            "2011-12-29T22:00Z",
            "days",
            1,
            "2011-12-30T10:00Z",
            id="a-day-that-never-was",
        ),
        pytest.param(
            "Asia/Tokyo", "2024-02-28T01:00Z", "days", 1, "2024-02-29T01:00Z", id="leap-day"
        ),
        pytest.param(
            "Europe/Berlin", "2026-12-31T09:00Z", "days", 1, "2027-01-01T09:00Z", id="year-end"
        ),
        pytest.param(
            "America/New_York",
            "2026-01-09T15:00Z",
            "business_days",
            1,
            "2026-01-12T15:00Z",
            id="bd-friday",
        ),
        pytest.param(
            "America/New_York",
            "2026-01-10T15:00Z",
            "business_days",
            1,
            "2026-01-12T15:00Z",
            id="bd-saturday",
        ),
        pytest.param(
            "America/New_York",
            "2026-01-07T15:00Z",
            "business_days",
            12,
            "2026-01-23T15:00Z",
            id="bd-long",
        ),
    ],
)
def test_due_times(con, zone, settled, unit, amount, due):
    found = advance_one(con, zone, datetime.fromisoformat(settled), unit, amount)
    assert found == datetime.fromisoformat(due)


def next_business_day(day, holidays=None):
    named = tuple((holidays or "").split())
    day += timedelta(days=1)
    while day.isoweekday() > 5 or is_holiday(named, day.date()):
        day += timedelta(days=1)
    return day


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zone=st.sampled_from(ZONES),
    settled=st.integers(1_704_067_200, 1_830_211_200),
    unit=st.sampled_from(["days", "business_days"]),
    amount=st.integers(0, 40),
    holidays=st.sampled_from([None, "US", "DE-BY", "12-24 12-25 12-26 12-28 JP"]),
)
def test_calendar_delays_equal_the_rule_one_lead_at_a_time(
    con, zone, settled, unit, amount, holidays
):
    settled = datetime.fromtimestamp(settled, UTC)
    local = settled.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    if unit == "days":
        target = local + timedelta(days=amount)
    else:
        target = local
        for _ in range(amount):
            target = next_business_day(target, holidays)
    due = advance_one(con, zone, settled, unit, amount, holidays=holidays)
    assert due == max(local_to_utc(target, zone), settled)


def test_business_days_pass_over_thanksgiving_for_whom_it_is_a_holiday(con):
    wednesday = datetime(2026, 11, 25, 15, tzinfo=UTC)

    def due(holidays):
        return advance_one(
            con, "America/New_York", wednesday, "business_days", 1, holidays=holidays
        )

    assert due(None) == due("DE-BY") == wednesday + timedelta(days=1)
    assert due("US") == wednesday + timedelta(days=2)
    assert due("11-27 US") == wednesday + timedelta(days=5)


def test_a_delay_since_enrollment_that_has_passed_is_due_at_once(con):
    settled = datetime(2026, 1, 5, 15, tzinfo=UTC)
    enrolled = settled - timedelta(days=3)
    assert (
        advance_one(con, "Asia/Tokyo", settled, "seconds", 3600, "enrollment", enrolled) == settled
    )
    later = advance_one(con, "Asia/Tokyo", settled, "days", 5, "enrollment", enrolled)
    assert later == enrolled + timedelta(days=5)
