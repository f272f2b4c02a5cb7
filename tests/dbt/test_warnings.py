"""Tests of the dbt project that only warn, run on days made by hand."""

from datetime import date, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.warehouse.paths import dbt_target_path

LATEST = date(2026, 3, 20)
USUAL = {
    "enrolled": 40,
    "sent": 100,
    "delivered": 95,
    "replied": 5,
    "converted": 2,
    "clicked": 10,
    "bounced": 2,
    "complained": 0,
    "unsubscribed": 1,
}


@pytest.fixture(scope="session")
def strange_days(small_home: Path) -> str:
    """Give the SQL of the test, as dbt compiled it."""
    compiled = dbt_target_path(small_home) / "compiled" / "driplab" / "tests"
    return (compiled / "days_are_like_the_same_weekdays_before.sql").read_text()


def found(sql: str, folder: Path, latest: dict[str, int], weeks: int = 8) -> set[str]:
    """Run the test on weeks of the same day, and on a last day with these counts instead."""
    days = [USUAL | (latest if ago == 0 else {}) for ago in range(7 * weeks + 1)]
    frame = pl.DataFrame(
        [
            {"metric_on": LATEST - timedelta(days=ago), "counted_by": counted_by}
            | {"is_complete": True}
            | {f"count_{name}": count for name, count in day.items()}
            for ago, day in enumerate(days)
            for counted_by in ("event_time", "send_cohort")
        ]
    )
    with duckdb.connect(str(folder / "warehouse.next.duckdb")) as con:
        con.execute("create schema marts")
        con.register("frame", frame)
        con.execute("create table marts.daily_metrics as from frame")
        return {what for (what, *_) in con.execute(sql).fetchall()}


def test_a_usual_day_is_no_news(strange_days: str, tmp_path: Path) -> None:
    assert found(strange_days, tmp_path, {"sent": 120, "delivered": 112, "bounced": 4}) == set()


def test_a_day_of_silence_is_told(strange_days: str, tmp_path: Path) -> None:
    silent = dict.fromkeys(
        ("enrolled", "sent", "delivered", "replied", "converted", "clicked", "bounced"), 0
    )
    # Of five replies and two sales a day, none is chance.
    assert found(strange_days, tmp_path, silent) == {"enrolled", "sent"}


def test_shares_that_drift_are_told_of_a_day_of_the_same_volume(
    strange_days: str, tmp_path: Path
) -> None:
    drifted = {"delivered": 60, "bounced": 20, "complained": 5}
    assert found(strange_days, tmp_path, drifted) == {
        "bounced of sent",
        "complained of sent",
        "undelivered of sent",
    }


def test_three_weeks_are_too_few_to_know_what_is_usual(strange_days: str, tmp_path: Path) -> None:
    assert found(strange_days, tmp_path, {"sent": 0, "enrolled": 0}, weeks=3) == set()
