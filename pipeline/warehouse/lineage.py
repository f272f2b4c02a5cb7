"""Of which columns a model's columns are made, read from the SQL that dbt compiled.

Belongs here: tracing, and remembering it while the SQL stays the same. Does not: running dbt
(`project`), what Dagster makes of it (`defs.warehouse`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage

from pipeline.warehouse.results import RunResults

# catalog, schema, table, column: its type.
Schemas = dict[str, dict[str, dict[str, dict[str, str]]]]


@dataclass(frozen=True)
class Traced:
    """The columns of one model.

    Attributes:
        columns: by name the [catalog, schema, table, column] that each is made of; none for what is
            made of nothing, such as a count of rows.
        problem: why the SQL was not understood; empty when it was.
    """

    columns: dict[str, list[list[str]]] = field(default_factory=dict)
    problem: str = ""


def trace_models(
    results: RunResults, warehouse: Path, ledger: Path, remembered: Path
) -> dict[str, Traced]:
    """Trace every model of a run, by its name; a second or less, and nothing while no SQL changes.

    Args:
        results: of the run, with what it compiled.
        warehouse: the file that it filled.
        ledger: the file that it read.
        remembered: where the latest answer is kept.
    """
    models = {
        check.name: check.compiled
        for check in results.checks
        if check.unique_id.startswith("model.") and check.compiled
    }
    schemas = read_schemas(warehouse, ledger)
    state = hashlib.sha256(json.dumps([models, schemas], sort_keys=True).encode()).hexdigest()
    known = _recall(remembered, state)
    if known is None:
        known = {name: trace(sql, schemas) for name, sql in models.items()}
        told = {"state": state, "models": {name: asdict(one) for name, one in known.items()}}
        remembered.write_text(json.dumps(told), encoding="utf-8")
    return known


def read_schemas(warehouse: Path, ledger: Path) -> Schemas:
    """Read which columns there are to be made of, under the names that the models use."""
    schemas: Schemas = {}
    with duckdb.connect() as con:
        for name, path in (("warehouse", warehouse), ("ledger", ledger)):
            con.execute(f"attach $path as {name} (read_only)", {"path": str(path)})
        rows = con.execute(
            "select database_name, schema_name, table_name, column_name, data_type "
            "from duckdb_columns() where database_name in ('warehouse', 'ledger') order by all"
        ).fetchall()
    for catalog, schema, table, column, kind in rows:
        tables = schemas.setdefault(catalog, {}).setdefault(schema, {})
        tables.setdefault(table, {})[column] = kind
    return schemas


def trace(sql: str, schemas: Schemas) -> Traced:
    """Trace the columns of one query, whose tables all stand in `schemas` with their catalog."""
    try:
        found = lineage(None, sql, schemas, dialect="duckdb", trim_selects=False)
        return Traced({name: _leaves(node, schemas) for name, node in found.items()})
    except (SqlglotError, RecursionError, KeyError) as error:
        return Traced(problem=f"{type(error).__name__}: {error}".splitlines()[0])


def _leaves(node: Node, schemas: Schemas) -> list[list[str]]:
    """Give the columns of tables that a column comes down to, each once.

    Raises:
        KeyError: there is no such column.
    """
    leaves = {
        (table.catalog, table.db, table.name, step.name.rpartition(".")[2])
        for step in node.walk()
        if isinstance(table := step.expression, exp.Table)
    }
    for catalog, schema, table_name, column in leaves:
        if column not in schemas[catalog][schema][table_name]:
            raise KeyError(column)
    return [list(leaf) for leaf in sorted(leaves)]


def _recall(path: Path, state: str) -> dict[str, Traced] | None:
    try:
        told: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if told["state"] == state:
            return {name: Traced(**one) for name, one in told["models"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        # Not there yet, or of another version: traced anew.
        pass
    return None
