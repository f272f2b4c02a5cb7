"""Requests of the command line: they land whole, and a tick decides about each."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from pipeline.inbound.ingest import ingest
from pipeline.inbound.landing import append_lines, landing_line
from pipeline.inbound.requests import (
    request_block,
    request_enrollment,
    request_list,
    request_segment,
)
from pipeline.ledger.store import open_ledger, transaction
from pipeline.settings import DripError, Settings

NOW = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


@pytest.fixture
def settings(home: Path, tmp_path: Path) -> Settings:
    """A home with two leads, and a sequence called one."""
    folder = tmp_path / "sequences"
    folder.mkdir()
    (folder / "one.yml").write_text("steps: []\n")
    leads = [{"email": "a@example.com"}, {"phone": "+15550100200", "external_id": "B-2"}]
    line = landing_line(line_id="1" * 32, received_at=NOW, source="api", leads=leads)
    append_lines(home, "inbound", [line], NOW)
    return Settings(home=home, sequences=folder)


def commands(settings: Settings) -> list[tuple[object, ...]]:
    with open_ledger(settings.home) as con:
        with transaction(con):
            assert ingest(con, settings.home, now=NOW, attributes=[]).count_rejected == 0
        return read(con)


def read(con: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return con.execute(
        "select c.kind, coalesce(i.email, i.phone), c.sequence_id, c.enrolled_by, c.starts_at, "
        "c.requested_by, c.outcome, x.context::varchar from commands as c "
        "inner join identities as i using (lead_id) "
        "left join enrollment_contexts as x using (command_id) order by all"
    ).fetchall()


def test_a_request_lands_with_its_start_its_context_and_who_asked(settings: Settings) -> None:
    request_enrollment(
        settings,
        "one",
        "a@example.com",
        NOW,
        starts_at="2026-02-01T09:00:00Z",
        context='{"offer": "spring"}',
        by="Ann",
    )
    start = datetime(2026, 2, 1, 9, tzinfo=UTC)
    assert commands(settings) == [
        ("enroll", "a@example.com", "one", "hand", start, "Ann", None, '{"offer":"spring"}')
    ]


def test_each_row_of_a_list_is_a_request_and_other_columns_are_context(
    settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "leads.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [
                ["email", "external_id", "starts_at", "offer"],
                ["a@example.com", "", "", "spring"],
                ["", "B-2", "2026-02-01T09:00:00Z", "autumn"],
            ]
        )
    assert request_list(settings, "one", file, NOW) == 2
    assert [(row[1], row[3], row[4] is None, row[7]) for row in commands(settings)] == [
        ("+15550100200", "list", False, '{"offer":"autumn"}'),
        ("a@example.com", "list", True, '{"offer":"spring"}'),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("name\nAnn\n", "names no leads", id="nobody"),
        pytest.param("email\na@example.com\nnobody\n", "row 2: lead.email", id="address"),
        pytest.param("email,starts_at\na@example.com,soon\n", "row 1: starts_at", id="start"),
    ],
)
def test_a_list_with_one_wrong_row_asks_for_nothing(
    settings: Settings, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "leads.csv"
    file.write_text(text)
    with pytest.raises(DripError, match=words):
        request_list(settings, "one", file, NOW)
    assert commands(settings) == []


def test_an_unknown_sequence_and_a_context_that_is_no_object_are_told_at_once(
    settings: Settings,
) -> None:
    with pytest.raises(DripError, match="There are: one"):
        request_enrollment(settings, "two", "a@example.com", NOW)
    with pytest.raises(DripError, match="no JSON object"):
        request_enrollment(settings, "one", "a@example.com", NOW, context="[1]")


def test_a_block_suppresses_every_channel_for_ever_and_once(settings: Settings) -> None:
    for _ in range(2):
        request_block(settings.home, "+1 555 0100 200", NOW)
    assert [row[:2] + row[6:7] for row in commands(settings)] == [
        ("do_not_contact", "+15550100200", "done")
    ] * 2
    with open_ledger(settings.home) as con:
        assert con.execute(
            "select channel, sequence_id, reason, lifted_at from suppressions"
        ).fetchall() == [(None, None, "do_not_contact", None)]


def test_a_segment_asks_for_each_lead_once(settings: Settings) -> None:
    commands(settings)
    sql = "select lead_id from lead_status where status = 'new' union all select lead_id from leads"
    assert request_segment(settings, "one", sql, NOW, by="Ann") == 2
    asked = commands(settings)
    assert [(row[1], row[3], row[5]) for row in asked] == [
        ("+15550100200", "segment", "Ann"),
        ("a@example.com", "segment", "Ann"),
    ]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        pytest.param("select email from identities", "gives email, and no lead_id", id="column"),
        pytest.param("delete from leads", "is one query", id="delete"),
        pytest.param("select 1 as lead_id; select 2 as lead_id", "is one query", id="two"),
        pytest.param("select lead_id from lead", "cannot be read", id="table"),
        pytest.param(
            "select lead_id from read_csv('/etc/hosts')", "file system operations", id="file"
        ),
        pytest.param("select 'x' as lead_id", "cannot be read", id="type"),
    ],
)
def test_a_segment_reads_the_ledger_and_nothing_else(
    settings: Settings, sql: str, words: str
) -> None:
    with pytest.raises(DripError, match=words):
        request_segment(settings, "one", sql, NOW)
    assert commands(settings) == []


def test_a_segment_of_a_lead_that_nobody_has_is_rejected_with_its_reason(
    settings: Settings,
) -> None:
    request_segment(settings, "one", "select 17 as lead_id", NOW)
    with open_ledger(settings.home) as con:
        with transaction(con):
            ingest(con, settings.home, now=NOW, attributes=[])
        assert con.execute("select reason from rejected").fetchall() == [
            ("The command names a lead_id that nobody has.",)
        ]


def test_only_the_operator_names_leads_by_our_own_ids(settings: Settings) -> None:
    commands(settings)
    with open_ledger(settings.home) as con:
        lead_id = con.execute("select min(lead_id) from leads").fetchall()[0][0]
        request = {"kind": "enroll", "sequence": "one", "lead": {"lead_id": lead_id}}
        line = landing_line(line_id="2" * 32, received_at=NOW, source="api", commands=[request])
        append_lines(settings.home, "inbound", [line], NOW)
        with transaction(con):
            ingest(con, settings.home, now=NOW, attributes=[])
        reasons = con.execute("select reason from rejected").fetchall()
        assert len(reasons) == 1
        assert "names no lead" in reasons[0][0]
