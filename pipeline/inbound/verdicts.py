"""Humans or machines: the versioned judgement of opens and clicks.

Belongs here: the one statement (`verdicts.sql`) and its version. Does not: where features come from
(`ingest` for the last hour, the warehouse for all history).
"""

from pathlib import Path

import duckdb

# Moves with every change of verdicts.sql, so that a row says which classifier judged it.
VERDICT_VERSION = 1

_STATEMENT = Path(__file__).with_name("verdicts.sql")


def verdict_sql() -> str:
    """Return the statement that judges the relation `features`: event_id and verdict per row.

    It has no closing semicolon and fits into `with features as (…) select * from (…)`.
    """
    return _STATEMENT.read_text()


def judge_features(con: duckdb.DuckDBPyConnection) -> None:
    """Write the temporary table `verdicts` from the temporary table `features`."""
    con.execute(f"create or replace temp table verdicts as\n{verdict_sql()}")
