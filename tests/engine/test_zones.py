"""Periods of constant offset cover time without gaps and agree with the zone's own offset."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from pipeline.engine.zones import zone_periods

YEAR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "zone", ["America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]
)
def test_periods_are_contiguous_and_hold_one_offset(zone):
    periods = zone_periods(zone, *YEAR)
    assert (periods[0][0], periods[-1][1]) == YEAR
    for (_, end, offset), (start, _, following) in pairwise(periods):
        assert end == start
        assert offset != following
    for start, end, offset in periods:
        for moment in (start, start + (end - start) / 2, end - timedelta(seconds=1)):
            assert moment.astimezone(ZoneInfo(zone)).utcoffset() == timedelta(seconds=offset)


def test_a_zone_without_changes_is_one_period():
    assert len(zone_periods("Asia/Tokyo", *YEAR)) == 1
