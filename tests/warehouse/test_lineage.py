"""Columns are traced to the columns that they are made of."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.ledger.store import ledger_path
from pipeline.warehouse.lineage import Traced, trace, trace_models
from pipeline.warehouse.paths import warehouse_path
from pipeline.warehouse.results import RunResults, read_results

SCHEMAS = {
    "ledger": {"main": {"sends": {"send_id": "BIGINT", "status": "VARCHAR", "at_": "DATE"}}},
    "warehouse": {"marts": {"leads": {"lead_id": "BIGINT", "send_id": "BIGINT"}}},
}


@pytest.fixture(scope="module")
def traced(refreshed_home: Path) -> dict[str, Traced]:
    """Every model of the refresh of the nine leads."""
    return trace_models(
        read_results(refreshed_home),
        warehouse_path(refreshed_home),
        ledger_path(refreshed_home),
        refreshed_home / "dbt" / "lineage.json",
    )


def of(traced: dict[str, Traced], model: str, column: str) -> set[str]:
    return {".".join(source[1:]) for source in traced[model].columns[column]}


def test_a_column_is_made_of_all_that_it_is_computed_from() -> None:
    sql = """
        with a as (select * from ledger.main.sends where at_ > '2026-01-01'),
        b as (select send_id, status = 'x' as is_x from a union all select 1, true)
        select l.lead_id, count(*) as n, bool_or(b.is_x) or l.lead_id > 5 as has_x
        from b join warehouse.marts.leads as l on b.send_id = l.send_id group by l.lead_id
    """
    lead = ["warehouse", "marts", "leads", "lead_id"]
    assert trace(sql, SCHEMAS).columns == {
        "lead_id": [lead],
        "n": [],
        "has_x": [["ledger", "main", "sends", "status"], lead],
    }


@pytest.mark.parametrize(
    "sql", ["select nothing from ledger.main.sends", "select 1 from (", "select * from elsewhere.t"]
)
def test_sql_that_is_not_understood_is_told(sql: str) -> None:
    told = trace(sql, SCHEMAS)
    assert told.problem
    assert not told.columns


def test_every_model_is_understood_and_hardly_a_column_is_made_of_nothing(
    traced: dict[str, Traced],
) -> None:
    assert len(traced) > 40
    assert {name: one.problem for name, one in traced.items() if one.problem} == {}
    # Numbers of rows, constants, calendars.
    sourceless = [name for one in traced.values() for name in one.columns if not one.columns[name]]
    assert len(sourceless) < 0.1 * sum(len(one.columns) for one in traced.values())


@pytest.mark.parametrize(
    ("model", "column", "sources"),
    [
        ("int_sends", "was_sent", {"main.send_status.status"}),
        (
            "int_sends",
            "first_clicked_at",
            {"main.events.kind", "main.events.occurred_at", "main.events.verdict"},
        ),
        ("sends", "send_id", {"intermediate.int_sends.send_id"}),
        ("leads", "country", {"intermediate.int_leads.country"}),
        (
            "conversions",
            "currency",
            {"intermediate.int_conversions.currency", "meta.refresh.currency"},
        ),
        (
            "enrollments",
            "enrolled_at",
            {"intermediate.int_enrollments.enrolled_at"},
        ),
    ],
)
def test_columns_come_from_where_a_reader_of_the_model_says(
    traced: dict[str, Traced], model: str, column: str, sources: set[str]
) -> None:
    assert of(traced, model, column) == sources


def test_what_was_traced_is_remembered_until_the_sql_changes(
    refreshed_home: Path, tmp_path: Path
) -> None:
    whole = read_results(refreshed_home)
    leads = tuple(check for check in whole.checks if check.name == "leads")
    files = (warehouse_path(refreshed_home), ledger_path(refreshed_home))
    kept = tmp_path / "lineage.json"
    first = trace_models(RunResults("r1", leads), *files, kept)
    assert "int_leads" in str(first)
    text = kept.read_text()
    kept.write_text(text.replace("int_leads", "remembered"))
    assert "remembered" in str(trace_models(RunResults("r2", leads), *files, kept))
    other = (replace(leads[0], compiled="select lead_id from warehouse.marts.sends"),)
    assert "remembered" not in str(trace_models(RunResults("r3", other), *files, kept))
    kept.write_text("{")
    assert trace_models(RunResults("r4", leads), *files, kept) == first
