"""Settling sends: what an answer, a crash or a withdrawal does to the flow (R1, R7, R9).

Belongs here: the temp table `answers` and what follows from it. Does not: where answers come from
(`journal`, `chunk`).
"""

from pathlib import Path

import duckdb

from pipeline.engine.advance import advance
from pipeline.engine.bounces import take_bounces
from pipeline.ledger.statements import run_file

_SQL = Path(__file__).with_name("settle.sql")


def settle(con: duckdb.DuckDBPyConnection, salt: str) -> dict[str, int]:
    """Write the outcomes of the temp table `answers` and move their enrollments on.

    Returns counts by answer. Answers for sends that are no longer in flight are ignored, so the
    same answer twice does nothing.
    """
    take_bounces(con)
    run_file(con, _SQL)
    advance(con, salt)
    return dict(con.execute("select answer, count(*) from settled group by answer").fetchall())
