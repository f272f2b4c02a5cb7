"""Running the set-based statements that stand in `.sql` files beside their modules.

Belongs here: reading such a file once, binding parameters by name, replacing one marked expression.
Does not: SQL text.
"""

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import duckdb

Rows = list[tuple[Any, ...]]


@cache
def _read(path: Path) -> str:
    return path.read_text()


# Parsing is a third of what a statement over few rows costs.
@lru_cache(maxsize=1_000)
def _parse(sql: str) -> tuple[tuple[duckdb.Statement, frozenset[str]], ...]:
    return tuple(
        (statement, frozenset(statement.named_parameters))
        for statement in duckdb.extract_statements(sql)
    )


def run_file(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    expressions: dict[str, str] | None = None,
    **parameters: object,
) -> Rows:
    """Run every statement of a file in order; return the rows of the last.

    Args:
        con: an open ledger, inside a transaction.
        path: the `.sql` file.
        expressions: SQL expressions, compiled by `sequences`, for the markers `/*name*/ true` or
            `/*name*/ null` in the file. Never anything else: values are bound.
        parameters: values for `$name`; each statement gets those it names.
    """
    text = _read(path)
    for marker, sql in (expressions or {}).items():
        for placeholder in ("true", "null"):
            text = text.replace(f"/*{marker}*/ {placeholder}", sql)
    rows: Rows = []
    for statement, names in _parse(text):
        rows = con.execute(statement, {name: parameters[name] for name in names}).fetchall()
    return rows


def fetch_value(con: duckdb.DuckDBPyConnection, sql: str, parameters: object = None) -> Any:
    """Return the first column of the first row, or None when there is no row.

    DuckDB 2.0 keeps a result open until it is read to its end, so `fetchone` alone blocks what
    follows on the connection.
    """
    ((statement, _),) = _parse(sql)
    rows = con.execute(statement, parameters).fetchall()
    return rows[0][0] if rows else None
