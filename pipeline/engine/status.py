"""How things stand, from facts: the numbers behind `drip status`.

Belongs here: counts over the ledger and their accounting. Does not: rates and metrics
(`warehouse`).
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from pipeline.ledger.statements import fetch_value
from pipeline.ledger.store import open_ledger
from pipeline.settings import Settings

_SEQUENCES = """
select sequence_id as sequence, name, status, owner, created_by, created_at, updated_at
from sequences
order by sequence_id
"""
OUTCOMES = ("sent", "postponed", "skipped", "held_out", "refused", "unknown", "in_flight")


@dataclass(frozen=True)
class Status:
    """The state of a home. `planned` is always the sum of the outcomes."""

    leads: int
    sequences: list[dict[str, Any]]
    enrollments: dict[str, dict[str, int]]
    planned: int
    outcomes: dict[str, int]
    rejected: int
    waiting: int
    next_due_at: datetime | None
    last_tick_at: datetime | None
    last_refresh_at: datetime | None
    is_stopped: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the status as plain values."""
        return asdict(self)


def read_status(settings: Settings) -> Status:
    """Count what is in the ledger, in one short read-only query per number."""
    with open_ledger(settings.home, read_only=True) as con:
        return _count(con, settings.home)


def count_outcomes(con: duckdb.DuckDBPyConnection) -> tuple[int, dict[str, int]]:
    """Return the number of decisions about planned steps, and what became of them."""
    found = dict(
        con.execute("select outcome, count(*) from why_outcomes group by outcome").fetchall()
    )
    planned = int(fetch_value(con, "select count(*) from why"))
    return planned, {name: found.get(name, 0) for name in OUTCOMES}


def _count(con: duckdb.DuckDBPyConnection, home: Path) -> Status:
    def one(sql: str) -> Any:
        return fetch_value(con, sql)

    enrollments: dict[str, dict[str, int]] = {}
    rows = con.execute(
        """
        select e.sequence_id, coalesce(x.status, if(v.is_paused, 'paused', 'active')), count(*)
        from enrollments as e
        left join enrollment_ends as x using (enrollment_id)
        left join live as v using (enrollment_id)
        where not e.is_holdout
        group by all
        order by all
        """
    ).fetchall()
    for sequence_id, status, count in rows:
        enrollments.setdefault(sequence_id, {})[status] = count
    planned, outcomes = count_outcomes(con)
    return Status(
        leads=one("select count(*) from leads"),
        sequences=con.sql(_SEQUENCES).pl().to_dicts(),
        enrollments=enrollments,
        planned=planned,
        outcomes=outcomes,
        rejected=one("select count(*) from rejected where resolved_at is null"),
        waiting=one("select count(*) from live where not is_paused"),
        next_due_at=one("select min(slot_at) from live where not is_paused"),
        last_tick_at=one("select max(started_at) from jobs where job = 'tick'"),
        last_refresh_at=one("select max(started_at) from jobs where job = 'refresh'"),
        is_stopped=(home / "STOP").exists(),
    )
