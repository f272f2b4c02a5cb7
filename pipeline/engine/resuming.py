"""Pauses that end by themselves: `react: {replied: {do: pause, resume_after: 3d}}` (R6).

Belongs here: resuming at the due moment. Does not: pausing (`reactions`), a person's resume
(`pauses`).
"""

from datetime import datetime
from pathlib import Path

import duckdb

from pipeline.ledger.statements import fetch_value, run_file

_SQL = Path(__file__).with_name("resuming.sql")


def resume_due(con: duckdb.DuckDBPyConnection, now: datetime) -> int:
    """Resume every enrollment whose pause is over, and return how many there were."""
    if not fetch_value(
        con,
        "select exists (from enrollment_pauses where resumed_at is null and resumes_at <= ?)",
        [now],
    ):
        return 0
    run_file(con, _SQL, now=now)
    return int(fetch_value(con, "select count(*) from resuming"))
