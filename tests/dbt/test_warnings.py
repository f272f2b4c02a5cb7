"""Tests of the dbt project that only warn, run on days made by hand."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.warehouse.paths import dbt_target_path

LATEST = date(2026, 3, 20)
NOON = datetime(2026, 3, 20, 16, tzinfo=UTC)
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


@pytest.fixture(scope="session")
def silent_sources(small_home: Path) -> str:
    """Give the SQL of the test, as dbt compiled it."""
    compiled = dbt_target_path(small_home) / "compiled" / "driplab" / "tests"
    return (compiled / "sources_still_report.sql").read_text()


def silent(sql: str, folder: Path, ago: dict[str, list[int]], origin: str = "live") -> set[str]:
    """Run the test at noon on `LATEST` on sources that told of events so many days ago."""
    events = pl.DataFrame(
        [
            {"source": source, "origin": origin, "received_at": NOON - timedelta(days=days)}
            for source, all_days in ago.items()
            for days in all_days
        ]
    )
    with duckdb.connect(str(folder / "warehouse.next.duckdb")) as con:
        con.execute("attach ':memory:' as ledger")
        con.register("frame", events)
        con.execute(
            "create table ledger.main.events as select *, null as event_id, null as kind, "
            "null as name, null as occurred_at, null as lead_id, null as enrollment_id, "
            "null as send_id, null as step_ix, null as url, null as value, null as currency, "
            "null as verdict, null as verdict_version from frame"
        )
        con.execute("create schema meta")
        con.execute(
            "create table meta.refresh as select '' as refresh_id, $1 as refreshed_at, "
            "'America/New_York' as timezone, 'USD' as currency, 'last' as attribution",
            [NOON],
        )
        return {source for (source, *_) in con.execute(sql).fetchall()}


WEEKDAYS = [days for days in range(50) if (LATEST - timedelta(days=days)).weekday() < 5]


def test_a_source_that_stopped_is_told_by_its_own_habit(
    silent_sources: str, tmp_path: Path
) -> None:
    assert LATEST.weekday() == 4
    assert silent(
        silent_sources,
        tmp_path,
        {
            "webhook:daily": list(range(3, 30)),
            # Two days may be chance, and of few days no habit is known.
            "webhook:almost": list(range(2, 30)),
            "webhook:rare": [20, 21, 22, 23],
            "operator": list(range(10, 30)),
        },
    ) == {"webhook:daily"}


def test_weekdays_without_a_word_are_told_after_twice_a_weekend(
    silent_sources: str, tmp_path: Path
) -> None:
    """Silent since Monday, four days; since the Friday before, seven: a weekend is three."""
    habits = {f"since {least}": [days for days in WEEKDAYS if days >= least] for least in (4, 7)}
    assert silent(silent_sources, tmp_path, habits) == {"since 7"}


def test_imported_events_have_no_habit(silent_sources: str, tmp_path: Path) -> None:
    imported = {"import:old": list(range(10, 30))}
    assert silent(silent_sources, tmp_path, imported, origin="import") == set()
