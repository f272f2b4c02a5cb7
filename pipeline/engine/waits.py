"""Steps that wait for an event: settled when it happened, or at the time-out (R1).

Belongs here: waking waits that something new may fulfil, and settling those that are due. Does
not: plain waits (`plan_control`), when an open or a click counts (`reactions`).
"""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars as pl

from pipeline.engine.advance import advance
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.sequences.compiled import CompiledStep

_SETTLE_SQL = Path(__file__).with_name("waits.sql")
_WAKE_SQL = Path(__file__).with_name("waits_wake.sql")
_SCHEMA = {
    "version_id": pl.Int64,
    "step_ix": pl.Int16,
    "event": pl.String,
    "name": pl.String,
    "event_step_ix": pl.Int16,
    "url_like": pl.String,
    "on_timeout": pl.String,
}


def create_waits(
    con: duckdb.DuckDBPyConnection, steps: Mapping[int, tuple[CompiledStep, ...]]
) -> None:
    """Create the relation `wait_step`: what each waiting step of the programme waits for."""
    rows = [
        (version_id, step.ix, wait.event, wait.name, wait.step_ix, wait.url_like, wait.on_timeout)
        for version_id, version in steps.items()
        for step in version
        if (wait := step.wait_for)
    ]
    con.register("wait_step", pl.DataFrame(rows, schema=_SCHEMA, orient="row"))


def wake_waits(con: duckdb.DuckDBPyConnection) -> None:
    """Let the planner look at the waits that the temp tables `new_events` and `judged` concern."""
    if fetch_value(con, "select exists (from wait_step)"):
        run_file(con, _WAKE_SQL)


def settle_waits(
    con: duckdb.DuckDBPyConnection, steps: Mapping[int, tuple[CompiledStep, ...]], salt: str
) -> bool:
    """Settle the waits among `due`, and say whether there were any.

    What was waited for counts from when it happened, and never after the time-out; what is open
    still is looked at again at its time-out, or when something new wakes it.
    """
    if not any(step.wait_for for version in steps.values() for step in version):
        return False
    if not fetch_value(con, "select exists (from due where kind = 'wait_for')"):
        return False
    run_file(con, _SETTLE_SQL)
    advance(con, salt)
    return True
