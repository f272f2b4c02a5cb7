"""What the end of a pause gives back, and pauses that end by themselves (R6).

Belongs here: moving due times, resuming at the due moment. Does not: pausing (`reactions`), a
person's pause and resume (`pauses`).
"""

from datetime import datetime
from pathlib import Path

import duckdb

from pipeline.ledger.statements import fetch_value, run_file

_SQL = Path(__file__).with_name("resuming.sql")
_GIVE_BACK_SQL = Path(__file__).with_name("resume.sql")


def give_back(con: duckdb.DuckDBPyConnection) -> None:
    """Move the due times of the temp table `resuming` (enrollment_id, paused_at, until_at).

    The pauses must be closed already: those that are still in force keep their time to themselves.
    """
    run_file(con, _GIVE_BACK_SQL)


def resume_due(
    con: duckdb.DuckDBPyConnection, now: datetime, sequence_id: str | None = None
) -> int:
    """Resume every enrollment (of one sequence, or of all) whose pause is over; count them."""
    if not fetch_value(
        con,
        "select exists (from enrollment_pauses where resumed_at is null and resumes_at <= ?)",
        [now],
    ):
        return 0
    run_file(con, _SQL, now=now, sequence_id=sequence_id)
    give_back(con)
    return int(fetch_value(con, "select count(*) from resuming"))
