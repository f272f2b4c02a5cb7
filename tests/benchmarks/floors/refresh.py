"""The floor of a refresh: every model as one SQL script, run by DuckDB alone.

Belongs here: the script and its run: no copy, no dbt, no test, no statistics, nothing published.
Does not: the SQL of a model; it is what dbt compiled in a refresh of the same home.
"""

import json
from pathlib import Path

import duckdb

from pipeline.ledger.store import ledger_path
from pipeline.warehouse.build import discard_next, start_next
from pipeline.warehouse.copy import discard_facts
from pipeline.warehouse.paths import dbt_target_path, ledger_copy_path, next_path
from pipeline.warehouse.results import read_results
from tests.benchmarks.world import NOW, World


def write_script(home: Path) -> str:
    """Return the script: the schemas, then each model after those that it reads."""
    manifest = json.loads((dbt_target_path(home) / "manifest.json").read_text())
    statements = ["create schema if not exists intermediate", "create schema if not exists marts"]
    for done in read_results(home).checks:
        node = manifest["nodes"].get(done.unique_id, {})
        if node.get("resource_type") == "model":
            statements.append(f"create table {node['relation_name']} as ({done.compiled})")
    return ";\n".join(statements)


def run_script(world: World, script: str) -> Path:
    """Run the script on the ledger itself and return the file that it fills, the next warehouse."""
    home = world.home
    workspace, _ = world.load_files()
    discard_facts(home)
    # Nobody else works here, so the ledger can be read where it is.
    ledger_copy_path(home).symlink_to(ledger_path(home).resolve())
    start_next(home, NOW, "floor", workspace)
    settings = {"memory_limit": world.settings.memory_limit, "preserve_insertion_order": "false"}
    with duckdb.connect(config=settings) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute("attach $path as ledger (read_only)", {"path": str(ledger_path(home))})
        con.execute("attach $path as warehouse", {"path": str(next_path(home))})
        con.execute("use warehouse")
        con.execute(script)
    return next_path(home)


def clear(world: World) -> None:
    """Remove what a run left behind."""
    discard_next(world.home)
    discard_facts(world.home)
