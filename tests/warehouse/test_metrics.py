"""From a question to SQL and rows; that each number is right is tested in tests/dbt."""

import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.settings import DripError
from pipeline.warehouse.definitions import Definitions, read_definitions
from pipeline.warehouse.metrics import Question, ask, explain, write_sql
from pipeline.warehouse.read import open_warehouse, query

CONDITIONS = {
    "channel = 'sms'": "channel = 'sms'",
    "not (channel = 'sms')": "not (channel = 'sms')",
    "step_id in ('hello', 'bye')": "step_id in ('hello', 'bye')",
    "variant is null": "variant is null",
    "sent_on >= '2026-03-03'": "sent_on >= '2026-03-03'",
    "lead.country = 'US'": "true",
    "send__hour_of_day between 10 and 23": "hour(handed_over_at at time zone 'America/New_York') between 10 and 23",
    "1 = 1": "1 = 1",
    "step = '{{ it''s }} or {% text %}'": "false",
}
condition = st.recursive(
    st.sampled_from(sorted(CONDITIONS.items())),
    lambda some: st.tuples(some, st.sampled_from([" and ", " or "]), some).map(
        lambda it: (it[0][0] + it[1] + it[2][0], it[0][1] + it[1] + it[2][1])
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def definitions(refreshed_home: Path) -> Definitions:
    with open_warehouse(refreshed_home) as con:
        return read_definitions(con)


@settings(max_examples=15)
@given(condition, st.booleans())
def test_a_condition_means_what_it_means_in_sql_whatever_else_is_asked(
    refreshed_home: Path, written: tuple[str, str], late: bool
) -> None:
    where, meant = written
    start = date(2026, 3, 2) if late else None
    said = ask(refreshed_home, Question(("sent",), where=where, start=start)).rows.item()
    days = "sent_on >= '2026-03-02'" if late else "true"
    assert (
        said
        == query(
            refreshed_home,
            f"select count(*) from marts.sends where was_sent and {days} and coalesce({meant}, false)",
        ).item()
    ), where


def test_a_week_counts_only_the_days_that_were_asked_for(refreshed_home: Path) -> None:
    question = Question(("sent",), grain="week", start=date(2026, 3, 3), end=date(2026, 3, 3))
    assert ask(refreshed_home, question).rows.rows() == [(date(2026, 3, 2), 2)]


def test_columns_are_called_and_ordered_as_asked(refreshed_home: Path) -> None:
    question = Question(("sent", "enrolled"), by=("lead.source", "sequence_id"), grain="month")
    rows = ask(refreshed_home, question).rows
    assert rows.columns == ["month", "lead.source", "sequence_id", "sent", "enrolled"]
    assert rows["month"].to_list() == sorted(rows["month"])
    assert rows.row(0) == (date(2026, 2, 1), "META", "welcome", 1, 1)


def test_without_a_grain_the_largest_comes_first_and_a_limit_keeps_it(refreshed_home: Path) -> None:
    question = Question(("sent",), by=("channel",))
    assert ask(refreshed_home, question).rows.rows() == [("email", 5), ("sms", 1)]
    first = Question(("sent",), by=("channel",), limit=1)
    assert ask(refreshed_home, first).rows.rows() == [("email", 5)]


def test_the_order_can_be_asked_for(refreshed_home: Path) -> None:
    for order, first in (("channel", "email"), ("-channel", "sms"), ("sent", "sms")):
        question = Question(("sent",), by=("channel",), order=order)
        assert ask(refreshed_home, question).rows.item(0, 0) == first


def test_a_day_can_be_split_by_and_a_moment_stays_a_moment(refreshed_home: Path) -> None:
    days = ask(refreshed_home, Question(("enrolled",), by=("enrolled_on",))).rows
    assert dict(days.rows())[date(2026, 3, 30)] == 1
    hours = ask(refreshed_home, Question(("steps_processed",), by=("hour_at",))).rows
    assert isinstance(hours.item(0, 0), datetime)


def test_the_answer_says_which_facts_it_is_of(refreshed_home: Path) -> None:
    answer = ask(refreshed_home, Question(("sent",)), snapshot="2026-W14")
    assert answer.refreshed_at.isoformat() == "2026-03-31T12:00:00+00:00"
    assert [metric.name for metric in answer.metrics] == ["sent"]


def test_the_sql_that_is_shown_gives_the_rows_that_are_shown(refreshed_home: Path) -> None:
    question = Question(("sent", "open_rate_per_sent"), by=("channel",), where="country = 'US'")
    shown = query(refreshed_home, explain(refreshed_home, question))
    assert shown.rows() == ask(refreshed_home, question).rows.rows()


def test_the_sql_reads_marts_and_nothing_else(definitions: Definitions) -> None:
    for metric in definitions.metrics:
        sql = write_sql(definitions, Question((metric,)))
        read = [line.split()[1] for line in sql.splitlines() if line.strip().startswith("FROM ")]
        assert [
            name for name in read if name[0] not in "(s" and not name.startswith("marts.")
        ] == []
        assert "FROM marts." in sql


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("channel = 'sms'; drop table x", "is no condition"),
        ("select 1", "is no condition"),
        ("exists (from marts.leads)", "is no condition"),
        ("'open", "is no condition"),
        ("", "is no condition"),
        ('channel = "sms"', "cannot be split by 'sms'"),
        ("marts.sends.channel = 'sms'", "cannot be split by 'marts.sends.channel'"),
        ("read_text('/etc/hostname') = channel", "Correct the condition"),
    ],
)
def test_what_is_no_condition_over_dimensions_is_refused(
    refreshed_home: Path, where: str, said: str
) -> None:
    with pytest.raises(DripError, match=said):
        ask(refreshed_home, Question(("sent",), where=where))


def test_only_who_asks_for_a_metric_loads_what_writes_it() -> None:
    code = (
        "import sys; import pipeline.cli, pipeline.warehouse.metrics, pipeline.warehouse.definitions;"
        "print([name for name in sys.modules if name.startswith(('metricflow', 'dbt'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
