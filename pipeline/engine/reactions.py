"""What events do to running enrollments: stop, pause, facts for conditions (R5, R16, R20).

Belongs here: applying the temp table `new_events` that ingest leaves. Does not: reading events
(`inbound.ingest`), suppression (checked when a step is planned and before it is handed over).
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from pipeline.engine.callbacks import open_callbacks
from pipeline.engine.resolve import settle_by_events
from pipeline.engine.waits import wake_waits
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.sequences.conditions import JUDGED_SECONDS

_SQL = Path(__file__).with_name("reactions.sql")
_ENTRIES_SQL = Path(__file__).with_name("entry_events.sql")
# The burst around an open or a click can be judged after this time (R5).
JUDGED_AFTER = timedelta(seconds=JUDGED_SECONDS)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def apply_reactions(con: duckdb.DuckDBPyConnection, now: datetime) -> int:
    """Apply the new events to `live`, and return how many enrollments an event ended.

    Needs the temp tables `new_events` and `new_blocks` (ingest), `reaction` and `enroll_event`
    (programme).
    """
    # Most ticks bring nothing; the look costs a tenth of the statements.
    if not fetch_value(
        con,
        "select exists (from new_events) or exists (from new_blocks) "
        "or exists (from engagement_pending where received_at <= ?)",
        [now - JUDGED_AFTER],
    ):
        return 0
    settle_by_events(con)
    count = react(con, now, judged_before=now - JUDGED_AFTER)
    open_callbacks(con, now)
    return count


def react(con: duckdb.DuckDBPyConnection, now: datetime, judged_before: datetime = LONG_AGO) -> int:
    """Apply `new_events` and what could be judged before a moment; return how many it ended."""
    if fetch_value(con, "select exists (from enroll_event) and exists (from new_events)"):
        run_file(con, _ENTRIES_SQL, judged=JUDGED_SECONDS)
    return react_in_running(con, now, judged_before)


def react_in_running(
    con: duckdb.DuckDBPyConnection, now: datetime, judged_before: datetime = LONG_AGO
) -> int:
    """Apply `new_events` to what runs, and to nothing that may begin; return how many it ended."""
    run_file(con, _SQL, judged_before=judged_before, now=now)
    wake_waits(con)
    return int(fetch_value(con, "select count(*) from stopping"))
