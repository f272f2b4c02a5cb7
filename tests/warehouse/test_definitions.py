"""What the metrics mean stands in the file that holds their numbers."""

import json
from pathlib import Path

import duckdb
import pytest

from pipeline.warehouse.definitions import (
    Definitions,
    NoDefinitions,
    keep_definitions,
    read_definitions,
)
from pipeline.warehouse.paths import dbt_target_path
from pipeline.warehouse.read import open_warehouse, query

# Requirements of sequences, steps, funnels and operations, in the words of the metrics.
ASKED = """
enrolled active completed stopped sent delivered opened clicked replied converted
enrollment_rate_per_lead completion_rate_per_enrolled conversion_rate_per_enrolled
revenue_per_enrolled average_days_to_conversion drop_off_rate_per_entered dropped
average_minutes_to_open average_hours_to_reply delivery_rate_per_sent open_rate_per_sent click_rate_per_sent reply_rate_per_sent
conversion_rate_per_sent execution_rate_per_entered steps_entered leads leads_contacted leads_responded
leads_converted revenue open_rate_per_delivered steps_processed failure_rate_per_attempt backlog
bounce_rate_per_attempted complaint_rate_per_delivered unsubscribe_rate_per_delivered cost profit attributed_revenue
"""


@pytest.fixture(scope="module")
def definitions(refreshed_home: Path) -> Definitions:
    with open_warehouse(refreshed_home) as con:
        return read_definitions(con)


def test_every_metric_that_is_asked_for_is_defined(definitions: Definitions) -> None:
    assert set(ASKED.split()) - set(definitions.metrics) == set()


def test_every_definition_says_of_what_and_every_rate_per_what(definitions: Definitions) -> None:
    units = (
        *("Leads", "Enrollments", "Messages", "Steps", "Conversions", "Parts of conversions"),
        *("Attempts", "Sequences", "Money", "Minutes", "Hours", "Days", "Share"),
    )
    for metric in definitions.metrics.values():
        assert metric.definition.startswith(units), metric.name
        if " / " in metric.formula and "rate" in metric.name:
            above, below = metric.formula.split(" / ")
            assert f"`{above}` of `{below}`" in metric.definition, metric.name
            assert "Null w" in metric.definition, metric.name


def test_every_word_in_a_definition_that_looks_like_a_metric_is_one(
    definitions: Definitions,
) -> None:
    for metric in definitions.metrics.values():
        named = metric.definition.split("`")[1::2]
        assert [word for word in named if "-" not in word and word not in definitions.metrics] == []


def test_metrics_read_marts_only(definitions: Definitions) -> None:
    assert {mart for metric in definitions.metrics.values() for mart in metric.marts} <= {
        f"marts.{path.stem}"
        for path in (Path(__file__).parents[2] / "dbt_project/models/marts").glob("*.sql")
    }


def test_a_metric_is_split_by_its_keys_its_columns_and_those_of_its_parents(
    definitions: Definitions,
) -> None:
    names = [one.name for one in definitions.metrics["open_rate_per_sent"].dimensions]
    assert names[:3] == ["sequence", "version", "step"]
    for name in ("send__channel", "send__weekday", "enrollment__status", "lead__country"):
        assert name in names
    assert not [name for name in names if name.endswith(("no_day", "local_sent_on"))]
    # of two marts: what both have
    rate = definitions.metrics["drop_off_rate_per_entered"]
    assert [one.name for one in rate.dimensions] == [
        *("sequence", "version", "step", "sequence__campaign")
    ]
    assert rate.marts == ("marts.step_endings", "marts.funnel_steps")


def test_a_stock_has_no_days(definitions: Definitions) -> None:
    without = {m.name for m in definitions.metrics.values() if not m.has_days}
    assert {"backlog", "steps_entered", "drop_off_rate_per_entered"} <= without
    assert not {"sent", "enrolled", "revenue", "attempts"} & without


def test_definitions_are_part_of_the_snapshot_too(refreshed_home: Path) -> None:
    with open_warehouse(refreshed_home, snapshot="2026-W14") as con:
        assert "sent" in read_definitions(con).metrics


def test_a_file_without_definitions_says_what_to_do() -> None:
    with duckdb.connect() as con:
        with pytest.raises(NoDefinitions, match="drip refresh"):
            read_definitions(con)
        con.execute("create schema meta; create table meta.definitions (semantic_manifest varchar)")
        with pytest.raises(NoDefinitions):
            read_definitions(con)


def test_definitions_are_taken_over_once_with_the_names_of_the_published_file(
    built_home: Path, refreshed_home: Path
) -> None:
    target = dbt_target_path(built_home) / "semantic_manifest.json"
    assert not target.exists()
    text = query(refreshed_home, "select semantic_manifest from meta.definitions").item()
    manifest = json.loads(text)
    for model in manifest["semantic_models"]:
        relation = model["node_relation"]
        relation["relation_name"] = f'"warehouse"."marts"."{relation["alias"]}"'
    target.write_text(json.dumps(manifest))
    keep_definitions(built_home)
    assert not target.exists()
    with duckdb.connect(str(built_home / "warehouse.next.duckdb"), read_only=True) as con:
        assert con.execute("select * from meta.definitions").fetchall() == [(text,)]
