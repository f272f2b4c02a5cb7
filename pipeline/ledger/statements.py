"""Running the set-based statements that stand in `.sql` files beside their modules.

Belongs here: reading such a file once, binding parameters by name, replacing one marked expression.
Does not: SQL text.
"""

from functools import cache
from pathlib import Path
from typing import Any

import duckdb


@cache
def _statements(path: Path) -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple(
        (statement.query, frozenset(statement.named_parameters))
        for statement in duckdb.extract_statements(path.read_text())
    )


def run_file(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    expressions: dict[str, str] | None = None,
    **parameters: object,
) -> None:
    """Run every statement of a file in order.

    Args:
        con: an open ledger, inside a transaction.
        path: the `.sql` file.
        expressions: SQL expressions, compiled by `sequences`, for the markers `/*name*/ true` or
            `/*name*/ null` in the file. Never anything else: values are bound.
        parameters: values for `$name`; each statement gets those it names.
    """
    for query, names in _statements(path):
        text = query
        for marker, sql in (expressions or {}).items():
            for placeholder in ("true", "null"):
                text = text.replace(f"/*{marker}*/ {placeholder}", sql)
        con.execute(text, {name: parameters[name] for name in names})


def fetch_value(con: duckdb.DuckDBPyConnection, sql: str, parameters: object = None) -> Any:
    """Return the first column of the first row, or None when there is no row.

    DuckDB 2.0 keeps a result open until it is read to its end, so `fetchone` alone blocks what
    follows on the connection.
    """
    rows = con.execute(sql, parameters).fetchall()
    return rows[0][0] if rows else None
