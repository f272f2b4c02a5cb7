from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipeline.sequences.model import Workspace
from pipeline.settings import Settings
from pipeline.warehouse import project
from pipeline.warehouse.build import build_warehouse
from pipeline.warehouse.copy import copy_facts
from pipeline.warehouse.paths import next_path, warehouse_path
from pipeline.warehouse.project import dbt_arguments
from pipeline.warehouse.results import read_expected_checks, read_results

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
WORKSPACE = Workspace(name="small", timezone="America/New_York", senders={})


def test_the_arguments_stay_the_same_so_that_the_parse_is_reused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, memory_limit="1GB")
    assert dbt_arguments(tmp_path, settings) == dbt_arguments(tmp_path, settings)
    assert '"memory_limit": "1GB"' in " ".join(dbt_arguments(tmp_path, settings))


def print_tables(path: Path) -> dict[str, tuple[int, int]]:
    """Count and hash the rows of everything that dbt built."""
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        names = con.execute(
            "select schema_name || '.' || table_name from duckdb_tables() "
            "where schema_name in ('intermediate', 'marts') order by 1"
        ).fetchall()
        return {
            name: con.execute(
                "select count(*), bit_xor(hash(t)) from query_table($name) as t", {"name": name}
            ).fetchall()[0]
            for (name,) in names
        }


def test_a_later_run_of_the_process_builds_and_checks_the_same_in_another_home(
    refreshed_home: Path, filled_home: Path
) -> None:
    copy_facts(filled_home)
    build_warehouse(filled_home, Settings(home=filled_home), NOW, "r2", WORKSPACE)
    # What the other home's run compiled was this one's beginning.
    (parsed,) = project._parsed.values()
    assert "__dbt__cte__" in parsed.manifest.nodes["model.driplab.sends"].raw_code
    first, second = read_results(refreshed_home), read_results(filled_home)
    compiled = [
        {
            check.unique_id: check.compiled
            for check in results.checks
            if not check.unique_id.startswith("operation.")
        }
        for results in (first, second)
    ]
    assert compiled[0] == compiled[1]
    assert read_expected_checks(filled_home) <= compiled[1].keys()
    tables = print_tables(next_path(filled_home))
    assert len(tables) > 40
    assert tables == print_tables(warehouse_path(refreshed_home))
    # The hook that ties a run to its file is the run's own.
    with duckdb.connect(str(next_path(filled_home)), read_only=True) as con:
        marked = con.execute("select refresh_id, invocation_id from meta.refresh").fetchall()
        kept = con.execute("select count(*) from meta.definitions").fetchall()
    assert marked == [("r2", second.invocation_id)]
    assert first.invocation_id != second.invocation_id
    assert kept == [(1,)]
