"""Calling back: a lead names a moment, and the call that it got becomes due again then, once.

Belongs here: which call, and opening it again. Does not: reading events (`inbound.ingest`), what
other events do (`reactions`), making the call (`plan`, `dispatch`).
"""

from datetime import datetime
from pathlib import Path

import duckdb

from pipeline.ledger.statements import fetch_value, run_file

_SQL = Path(__file__).with_name("callbacks.sql")


def open_callbacks(con: duckdb.DuckDBPyConnection, now: datetime) -> int:
    """Open the calls again that the temp table `new_events` asks for; return how many.

    Needs the programme's relation `step`.
    """
    asked = "select exists (from new_events where kind = 'callback_requested')"
    if not fetch_value(con, asked):
        return 0
    run_file(con, _SQL, now=now)
    return int(fetch_value(con, "select count(*) from calling_back"))
