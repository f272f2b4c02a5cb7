from datetime import UTC, datetime

import duckdb
import pytest

from pipeline.analysis.volumes import read_volume
from pipeline.settings import DripError

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
SENDS = """
create schema meta;
create table meta.refresh as select timestamptz '2026-03-31 12:00:00Z' as refreshed_at;
create schema marts;
create table marts.sends as
select
    'nurture' as sequence_id, 'hello' as step_id, i % 50 > 0 as was_sent, i % 10 = 1 as was_replied,
    i % 5 = 1 as was_clicked, i % 4 = 1 as was_opened, i % 2 = 1 as was_opened_any,
    timestamptz '2026-03-31 12:00:00Z' - to_minutes(cast(i * 40 as integer)) as handed_over_at
from range(0, 2000) as t (i);
"""


@pytest.fixture
def con():
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(SENDS)
        yield con


def test_the_volume_of_four_weeks_and_its_rates(con):
    replied = read_volume(con, "nurture/hello", "replied")
    # One in fifty was refused; 36 a day were tried.
    assert replied.leads_per_day == pytest.approx(36 * 0.98, abs=0.2)
    assert replied.base == pytest.approx(0.1 / 0.98, abs=0.002)
    assert replied.machines == 0
    opened = read_volume(con, "nurture/hello", "opened")
    assert opened.base == pytest.approx(0.25 / 0.98, abs=0.004)
    assert opened.machines == pytest.approx(0.25 / 0.98, abs=0.004)


def test_a_young_step_is_not_averaged_over_days_before_it(con):
    con.execute("delete from marts.sends where handed_over_at < '2026-03-24 12:00:00Z'")
    volume = read_volume(con, "nurture/hello", "clicked")
    assert volume.leads_per_day == pytest.approx(36 * 0.98, abs=1)


def test_what_cannot_be_read_is_said_with_what_can(con):
    with pytest.raises(DripError, match=r"Steps that sent: nurture/hello\."):
        read_volume(con, "nurture/bye", "replied")
    with pytest.raises(DripError, match="use one of replied, clicked, opened, or --base"):
        read_volume(con, "nurture/hello", "goal(sale)")
