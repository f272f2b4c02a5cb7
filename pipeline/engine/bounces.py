"""Refusals that mean that an address does not exist: bounces, told at once by the server (R20).

Belongs here: which refusals these are, the fact, the suppression, and the reactions to it. Does
not: bounces that are reported later (`inbound`), what else a refusal does (`settle`).
"""

from pathlib import Path

import duckdb

from pipeline.engine.reactions import react
from pipeline.inbound.verdicts import VERDICT_VERSION
from pipeline.ledger.statements import fetch_value, run_file

_SQL = Path(__file__).with_name("bounces.sql")


def take_bounces(con: duckdb.DuckDBPyConnection) -> int:
    """Make bounces of what the temp table `answers` says of addresses that do not exist.

    The enrollment's reaction to `bounced` holds before the refusal is settled: where it stops,
    nothing follows. The events are left in `new_events`, beside those that were there. Returns
    how many there were.
    """
    if not fetch_value(con, "select exists (from answers where status = 'refused')"):
        return 0
    con.execute("create temp table if not exists new_events as select * from events limit 0")
    run_file(con, _SQL, verdict_version=VERDICT_VERSION)
    count = int(fetch_value(con, "select count(*) from bounced"))
    if count:
        con.execute("alter table new_events rename to earlier_events")
        con.execute("create temp table new_events as select * from bounce_events")
        react(con, fetch_value(con, "select max(occurred_at) from bounced"))
        con.execute("insert into new_events by name select * from earlier_events")
        con.execute("drop table earlier_events")
    return count
