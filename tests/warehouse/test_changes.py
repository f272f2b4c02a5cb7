"""What moved a published number: late events, verdicts, reversals, rows that came or went."""

import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pipeline.settings import DripError
from pipeline.warehouse.changes import Movement, explain_change

WEEK = "2026-W14"


@pytest.fixture
def moved_home(refreshed_home: Path, tmp_path: Path) -> Path:
    """The published warehouse, whose rows can be changed under its snapshot."""
    home = tmp_path / "moved"
    home.mkdir()
    shutil.copy(refreshed_home / "warehouse.duckdb", home)
    shutil.copytree(refreshed_home / "snapshots", home / "snapshots")
    return home


def change(home: Path, *statements: str) -> None:
    with duckdb.connect(str(home / "warehouse.duckdb")) as con:
        con.execute("set TimeZone = 'UTC'")
        for statement in statements:
            con.execute(statement)


def causes(found: Movement) -> list[tuple[str, str, int, object]]:
    return [(one.name, one.what, one.count_rows, one.difference) for one in found.causes]


def test_a_number_that_has_not_moved_has_no_cause(moved_home: Path) -> None:
    found = explain_change(moved_home, "open_rate_per_sent", WEEK)
    assert found.until == date(2026, 3, 31)
    assert found.values == {"open_rate_per_sent": (1 / 6, 1 / 6), "opened": (1, 1), "sent": (6, 6)}
    assert found.causes == ()


def test_a_reaction_happened_since_or_was_told_late_or_was_judged_anew(moved_home: Path) -> None:
    change(
        moved_home,
        "update marts.sends set was_opened = true, was_opened_any = true, first_opened_at = '2026-04-02 12:00:00Z' where send_id = 6",
        "update marts.sends set was_opened = true, was_opened_any = true, first_opened_at = '2026-03-20 12:00:00Z' where send_id = 5",
        "update marts.sends set was_opened = true, first_opened_at = '2026-02-02 15:00:01Z' where send_id = 3",
        "update marts.sends set was_opened = false, was_clicked = false, first_opened_at = null where send_id = 1",
    )
    found = explain_change(moved_home, "open_rate_per_sent", WEEK)
    assert found.values["open_rate_per_sent"] == (1 / 6, 3 / 6)
    assert sorted(causes(found)) == [
        ("opened", "was_opened false → true, happened since", 1, 1),
        ("opened", "was_opened false → true, judged anew", 1, 1),
        ("opened", "was_opened false → true, told late", 1, 1),
        ("opened", "was_opened true → false, judged anew", 1, -1),
    ]
    assert {one.examples for one in found.causes} == {"6", "5", "3", "1"}


def test_the_causes_add_up_to_what_the_sum_has_moved(moved_home: Path) -> None:
    change(
        moved_home,
        "update marts.conversions set revenue = 60, is_reversed = true, reversed_at = '2026-04-02 12:00:00Z' where revenue = 100",
        "delete from marts.conversions where revenue = 40",
        "insert into marts.conversions by name select 9 as conversion_id, 6 as lead_id, 'sale' as goal_name, date '2026-03-29' as converted_on, true as has_rate, 12.5 as revenue",
        # after the snapshot: of no day that is compared
        "insert into marts.conversions by name select 10 as conversion_id, 6 as lead_id, 'sale' as goal_name, date '2026-03-31' as converted_on, true as has_rate, 99 as revenue",
    )
    found = explain_change(moved_home, "revenue", WEEK)
    assert found.values == {"revenue": (Decimal(220), Decimal("152.5"))}
    assert sorted(causes(found)) == [
        ("revenue", "is not in these days any more", 1, Decimal(-40)),
        ("revenue", "revenue changed, happened since", 1, Decimal(-40)),
        ("revenue", "was not in these days then", 1, Decimal("12.5")),
    ]


def test_rows_of_a_count_come_and_go(moved_home: Path) -> None:
    change(moved_home, "delete from marts.conversions where revenue = 40")
    found = explain_change(moved_home, "conversions", WEEK)
    assert causes(found) == [("conversions", "is not in these days any more", 1, -1)]


def test_a_delivery_is_inferred_and_a_filter_of_the_metric_holds(moved_home: Path) -> None:
    change(
        moved_home,
        "update marts.sends set was_delivered = true, is_delivery_inferred = true where send_id = 6",
        "update marts.sends set was_delivered = false, channel = 'task' where send_id = 2",
    )
    found = explain_change(moved_home, "delivery_rate_per_sent", WEEK)
    inferred = "was_delivered false → true, inferred, as nothing bounced within 72 hours"
    assert ("delivered", inferred, 1, 1) in causes(found)
    assert ("delivered", "is not in these days any more", 1, -1) in causes(found)


def test_a_mean_tells_its_rows_without_adding_them(moved_home: Path) -> None:
    change(
        moved_home,
        "update marts.engagement set was_opened = true, open_seconds = 60 where send_id = 3",
    )
    found = explain_change(moved_home, "average_minutes_to_open", WEEK)
    assert found.values["average_minutes_to_open"] == (pytest.approx(119.5), pytest.approx(60.25))
    ((_, what, rows, difference),) = causes(found)
    assert (rows, difference) == (1, None)
    assert what.startswith("was_opened false → true")


def test_another_definition_is_told(moved_home: Path) -> None:
    change(
        moved_home,
        "update meta.definitions set semantic_manifest = replace(semantic_manifest, 'case when was_sent and was_clicked then', 'case when was_sent and was_clicked_any then')",
    )
    found = explain_change(moved_home, "clicked", WEEK)
    assert "was_clicked " in found.formula_then
    assert "was_clicked_any " in found.metric.formula


@pytest.mark.parametrize(
    ("metric", "week", "said"),
    [
        ("opend", WEEK, "did you mean opened"),
        ("backlog", WEEK, "backlog has no days.*drip metric backlog"),
        ("sent", "2026-W01", "There is no snapshot '2026-W01'"),
    ],
)
def test_what_cannot_be_compared_says_why(
    moved_home: Path, metric: str, week: str, said: str
) -> None:
    with pytest.raises(DripError, match=said):
        explain_change(moved_home, metric, week)


def test_a_column_that_the_past_lacks_says_to_choose_a_later_week(moved_home: Path) -> None:
    with duckdb.connect(str(moved_home / "snapshots" / f"{WEEK}.duckdb")) as con:
        con.execute("alter table marts.sends drop column was_clicked")
    with pytest.raises(DripError, match="Choose a later week"):
        explain_change(moved_home, "clicked", WEEK)


@pytest.mark.slow
def test_events_of_the_real_ledger_are_told_apart(filled_home: Path) -> None:
    from pipeline.analysis.refresh import refresh  # noqa: PLC0415 - above this room
    from pipeline.ledger.store import open_ledger  # noqa: PLC0415
    from pipeline.sequences.model import Workspace  # noqa: PLC0415
    from pipeline.settings import Settings  # noqa: PLC0415

    workspace = Workspace(name="small", timezone="America/New_York", senders={})
    settings = Settings(home=filled_home)
    refresh(filled_home, settings, datetime(2026, 3, 31, 12, tzinfo=UTC), workspace=workspace)
    with open_ledger(filled_home) as con:
        con.execute("update events set verdict = 'human' where send_id = 3 and kind = 'opened'")
        con.execute(
            "insert into events by name select 100 + send_id as event_id, 'opened' as kind, "
            "cast(happened as timestamptz) as occurred_at, timestamptz '2026-04-02 12:00:00Z' as received_at, "
            "send_id as lead_id, send_id as enrollment_id, send_id, 0 as step_ix, 'human' as verdict, "
            "1 as verdict_version, 'tracker' as source, 'live' as origin "
            "from (values (5, '2026-03-20 12:00:00Z'), (6, '2026-04-02 11:00:00Z')) as t (send_id, happened)"
        )
    refresh(filled_home, settings, datetime(2026, 4, 7, 12, tzinfo=UTC), workspace=workspace)
    found = explain_change(filled_home, "opened", WEEK)
    assert found.values["opened"] == (1, 4)
    assert {(one.what.partition(", ")[2], one.examples) for one in found.causes} == {
        ("judged anew", "3"),
        ("told late", "5"),
        ("happened since", "6"),
    }
