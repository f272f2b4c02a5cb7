"""Metrics from the command line, over the marts of a started workspace."""

import csv
import io
from pathlib import Path
from shutil import copytree

import duckdb
import pytest

from pipeline.warehouse.read import query


@pytest.fixture
def published(drip, started, tmp_path, refreshed_once: Path):
    """A started workspace after its first refresh."""
    if any(refreshed_once.iterdir()):
        copytree(refreshed_once, tmp_path, dirs_exist_ok=True)
    else:
        assert drip("refresh").code == 0
        copytree(tmp_path, refreshed_once, dirs_exist_ok=True)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def refreshed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refreshed")


def test_a_metric_is_told_as_table_json_csv_and_sql(drip, published):
    told = drip("metric", "sent", "open_rate_per_sent", "--by", "sequence,channel")
    assert told.code == 0
    for word in ("As of ", "welcome", "email", "Messages handed over", "`opened` of `sent`"):
        assert word in told.out
    rows = drip(
        "metric", "sent", "open_rate_per_sent", "--by", "sequence", "--by", "channel", "--json"
    ).json()
    assert rows == [
        {"sequence": "welcome", "channel": "email", "sent": 1, "open_rate_per_sent": 0.0}
    ]
    told = drip("metric", "sent", "open_rate_per_sent", "--by", "sequence", "--csv")
    assert list(csv.reader(io.StringIO(told.out))) == [
        ["sequence", "sent", "open_rate_per_sent"],
        ["welcome", "1", "0.0"],
    ]
    # the SQL runs as it stands
    sql = drip("metric", "sent", "--by", "channel", "--sql").out
    assert query(published, sql).rows() == [("email", 1)]


def test_a_metric_over_time_within_days_under_a_condition(drip, published):
    (row,) = drip("metric", "sent", "--grain", "day", "--json").json()
    day = row["day"]
    same = ("metric", "sent", "--grain", "day", "--json", "--start", day, "--end", day)
    assert drip(*same).json() == [row]
    assert drip(*same, "--where", "channel = 'sms'").json() == []
    assert drip("metric", "sent", "--end", "2001-01-01", "--json").json() == [{"sent": 0}]
    assert drip("metric", "open_rate_per_sent", "--end", "2001-01-01", "--json").json() == [
        {"open_rate_per_sent": None}
    ]
    (month,) = drip("metric", "sent", "--grain", "month", "--json").json()
    assert month == {"month": day[:8] + "01", "sent": 1}


def test_metrics_are_listed_with_their_definitions(drip, published):
    told = drip("metrics")
    assert told.code == 0
    for word in ("Enrollments", "open_rate_per_delivered", "`contacts_opened`", "drip metric NAME"):
        assert word in told.out
    rows = drip("metrics", "--json").json()
    assert len(rows) > 70
    (one,) = drip("metrics", "open_rate_per_sent", "--json").json()
    assert one == next(row for row in rows if row["name"] == "open_rate_per_sent")
    assert one["formula"] == "opened / sent"
    assert {"name": "send__channel", "short": "channel"}.items() <= next(
        d for d in one["dimensions"] if d["short"] == "channel"
    ).items()
    told = drip("metrics", "open_rate_per_sent").out
    assert "opened / sent, from marts.sends" in told
    assert "lead__country" in told


def test_a_week_has_the_definitions_of_its_week(drip, published):
    (snapshot,) = (published / "snapshots").glob("*.duckdb")
    assert drip("metric", "sent", "--as-of", snapshot.stem, "--json").json() == [{"sent": 1}]
    assert drip("metrics", "--as-of", snapshot.stem).code == 0
    told = drip("metric", "sent", "--as-of", "2020-W01")
    assert (told.code, told.out) == (1, "")
    assert f"There are: {snapshot.stem}." in told.err


def test_what_moved_a_number_is_told(drip, published):
    (snapshot,) = (published / "snapshots").glob("*.duckdb")
    told = drip("changed", "enrolled", "--since", snapshot.stem)
    assert told.code == 0
    assert "enrolled of the days before" in told.out
    assert "No row behind it counts otherwise." in told.out
    with duckdb.connect(str(published / "warehouse.duckdb")) as con:
        con.execute(
            "insert into marts.enrollments by name select 99 as enrollment_id, false as is_holdout, "
            "date '2020-01-01' as enrolled_on"
        )
    told = drip("changed", "enrolled", "--since", snapshot.stem)
    assert "was not in these days then" in told.out
    found = drip("changed", "enrolled", "--since", snapshot.stem, "--json").json()
    assert found["values"] == {"enrolled": {"then": 0, "now": 1}}
    assert found["causes"] == [
        {
            "name": "enrolled",
            "what": "was not in these days then",
            "count_rows": 1,
            "difference": 1,
            "examples": "99",
        }
    ]
    assert drip("changed", "enroled", "--since", snapshot.stem).code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["oepned"], "There is no metric 'oepned': did you mean opened"),
        (["completion_rate"], "did you mean completion_rate_per_enrolled?"),
        (["sent", "--by", "chanel"], "cannot be split by 'chanel': did you mean channel?"),
        (["sent", "--by", "week"], "Write --grain week"),
        (["sent", "--by", "status"], "write enrollment__status or lead__status"),
        (
            ["sent", "revenue", "--by", "channel"],
            "sent and revenue cannot be split by 'channel' to",
        ),
        (["sent", "--where", "country ="], "is no condition"),
        (["sent", "--where", "1 = (select 2)"], "is no condition"),
        (["sent", "--where", "open_rate_per_sent > 0"], "cannot be split by 'open_rate_per_sent'"),
        (["sent", "--where", "channel + 1 = 2"], "Correct the condition"),
        (["backlog", "--grain", "day"], "backlog has no days"),
        (["sent", "--start", "yesterday"], "--start 'yesterday' is no day"),
        (["sent", "--start", "2026-03-02", "--end", "2026-03-01"], "is before"),
        (["sent", "--as-of", "../warehouse"], "There is no snapshot"),
        ([","], "Name a metric"),
        (["revenue", "--by", "sequence"], "sequence'. enrollment_revenue, "),
        (["sent", "--by", "step", "--order", "weekday"], "Order by one of: step, sent."),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_what_to_do(drip, published, words, said):
    told = drip("metric", *words)
    assert (told.code, told.out) == (1, "")
    assert said in told.err
    assert told.err.count("\n") == 1


def test_nothing_published_says_so(drip, started):
    for words in (("metrics",), ("metric", "sent")):
        told = drip(*words)
        assert told.code == 1
        assert "Run `drip refresh`" in told.err
