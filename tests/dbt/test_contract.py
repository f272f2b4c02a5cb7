"""Our own way of making a table holds a contract as strictly as dbt's, and the order beside."""

import shutil

import pytest
from dbt.cli.main import dbtRunner

from pipeline.warehouse.paths import DBT_PROJECT

PROFILES = """
small:
  target: duckdb
  outputs: {duckdb: {type: duckdb, path: "PATH", disable_transactions: true, threads: 1}}
"""
PROJECT = """
name: small
version: "1.0.0"
config-version: 2
profile: small
flags: {send_anonymous_usage_stats: false}
models: {small: {+materialized: table, +contract: {enforced: true}}}
"""
MODELS = """
version: 2
models:
  - name: good
    columns: &columns
      - {name: lead_id, data_type: bigint}
      - {name: seen_at, data_type: timestamptz}
      - {name: paid, data_type: "decimal(18,4)"}
  - {name: other_type, columns: *columns}
  - {name: one_less, columns: *columns}
  - {name: one_more, columns: *columns}
  - {name: other_name, columns: *columns}
  - {name: other_order, columns: *columns}
"""
LEAD, SEEN, PAID = "1::bigint as lead_id", "now() as seen_at", "2::decimal(18,4) as paid"
SQL = {
    "good": [LEAD, SEEN, PAID],
    "other_type": ["1::int as lead_id", SEEN, PAID],
    "one_less": [LEAD, SEEN],
    "one_more": [LEAD, SEEN, PAID, "3 as more"],
    "other_name": ["1::bigint as lead", SEEN, PAID],
    "other_order": [SEEN, LEAD, PAID],
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Build a table of each model and give what dbt said of it."""
    project = tmp_path_factory.mktemp("contract")
    (project / "models").mkdir()
    (project / "macros").mkdir()
    shutil.copy(DBT_PROJECT / "macros" / "table.sql", project / "macros")
    (project / "dbt_project.yml").write_text(PROJECT)
    (project / "profiles.yml").write_text(PROFILES.replace("PATH", str(project / "small.duckdb")))
    (project / "models" / "models.yml").write_text(MODELS)
    for name, columns in SQL.items():
        (project / "models" / f"{name}.sql").write_text(f"select {', '.join(columns)}")
    quiet = ("--log-level", "none", "--log-level-file", "none")
    folders = ("--project-dir", str(project), "--profiles-dir", str(project))
    done = dbtRunner().invoke([*quiet, "run", *folders])
    assert done.exception is None
    return {one.node.name: f"{one.status}: {one.message}" for one in done.result.results}  # type: ignore[union-attr]


def test_a_table_as_described_is_built(told: dict[str, str]) -> None:
    assert told["good"] == "success: OK"


@pytest.mark.parametrize("name", ["other_type", "one_less", "one_more", "other_name"])
def test_dbt_says_which_columns_break_a_contract(told: dict[str, str], name: str) -> None:
    assert told[name].startswith("error: ")
    assert "This model has an enforced contract that failed" in told[name]


def test_columns_stand_in_the_order_of_their_descriptions(told: dict[str, str]) -> None:
    assert "The columns of other_order stand in another order" in told["other_order"]
