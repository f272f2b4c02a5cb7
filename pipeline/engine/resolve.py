"""Unknown sends: what settles them, by a later event or by a person (R9).

Belongs here: the outcome, and opening a step again that did not go out. Does not: how a send became
unknown (`journal`, `dispatch`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from pipeline.ledger.statements import fetch_value, run_file
from pipeline.ledger.store import open_ledger, transaction
from pipeline.settings import DripError, Settings

_SQL = Path(__file__).with_name("resolve.sql")
_REOPEN_SQL = Path(__file__).with_name("reopen.sql")
_UNKNOWN = """
select
    d.send_id, d.enrollment_id, d.lead_id, q.sequence_id, s.step_id, d.channel, d.sender,
    d.settled_at as begun_at, d.reason
from send_status as d
inner join sequence_versions as q on d.version_id = q.version_id
inner join steps as s on d.version_id = s.version_id and d.step_ix = s.step_ix
where d.status = 'unknown' and d.origin = 'live'
order by d.send_id
"""
# Nothing after it was settled: no other decision since it was claimed, but to wait.
_REOPENING = """
create or replace temp table reopening as
select d.enrollment_id, d.step_ix, d.send_id, d.attempts, d.zone
from send_status as d
inner join live as v on d.enrollment_id = v.enrollment_id
where
    d.send_id = $send_id
    and not v.is_ended
    and v.send_id is null
    and v.version_id = d.version_id
    and not exists (
        from why_outcomes as w
        where
            w.enrollment_id = d.enrollment_id
            and w.step_ix != d.step_ix
            and w.outcome != 'postponed'
            and w.planned_at >= d.claimed_at
            -- What its own tick passed on the way to it came before.
            and (w.planned_at > d.claimed_at or w.step_ix > d.step_ix)
    )
"""


@dataclass(frozen=True)
class Resolved:
    """What became of an unknown send.

    Attributes:
        is_reopened: Its step is due again, at once.
    """

    send_id: int
    status: str
    is_reopened: bool


def list_unknown(settings: Settings) -> list[dict[str, Any]]:
    """List the sends of which nobody knows whether they went out, oldest first."""
    with open_ledger(settings.home, read_only=True) as con:
        rows: list[dict[str, Any]] = con.sql(_UNKNOWN).pl().to_dicts()
    return rows


def settle_by_events(con: duckdb.DuckDBPyConnection) -> None:
    """Settle the unknown sends that the temp table `new_events` tells of."""
    if fetch_value(con, "select exists (from new_events where send_id is not null)"):
        run_file(con, _SQL)


def resolve(settings: Settings, send_id: int, now: datetime, *, is_sent: bool) -> Resolved:
    """Settle an unknown send as a person has found it out.

    One that went out stays where it was, and counts as sent from then on. One that did not is no
    contact; its step is opened again if nothing after it was settled.

    Raises:
        DripError: there is no such send, or its outcome is known.
    """
    with open_ledger(settings.home) as con, transaction(con):
        rows = con.execute(
            "select d.status, d.settled_at, d.attempts, d.enrollment_id, p.step_ix "
            "from send_status as d inner join placed_sends as p on d.send_id = p.send_id "
            "where d.send_id = ?",
            [send_id],
        ).fetchall()
        if not rows:
            raise DripError(f"There is no send {send_id}. `drip resolve --list` names them.")
        status, settled_at, attempts, enrollment_id, step_ix = rows[0]
        if status != "unknown":
            raise DripError(f"Send {send_id} is {status}, not unknown: nothing is to be resolved.")
        is_reopened = False
        if not is_sent:
            con.execute(_REOPENING, {"send_id": send_id})
            is_reopened = bool(fetch_value(con, "select count(*) from reopening"))
            _take_back(con, enrollment_id, step_ix)
            run_file(con, _REOPEN_SQL, now=now)
        status = "handed_over" if is_sent else "withdrawn"
        told = f"resolved {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        con.execute(
            "insert into send_outcomes by name select $send_id as send_id, "
            "$settled_at::timestamptz + interval 1 microsecond as settled_at, $status as status, "
            "$reason as reason, $attempt as attempt",
            {
                "send_id": send_id,
                "settled_at": settled_at,
                "status": status,
                # What is opened again was only put off.
                "reason": "reopened" if is_reopened else told,
                "attempt": attempts,
            },
        )
        again = ", due again" if is_reopened else ""
        con.execute(
            "insert into operator_acts values (?, 'resolved', 'send', ?, ?)",
            [now, str(send_id), f"{status}{again}"],
        )
    return Resolved(send_id, status, is_reopened)


def _take_back(con: duckdb.DuckDBPyConnection, enrollment_id: int, step_ix: int) -> None:
    """What did not go out was no contact: its bit and its count go."""
    con.execute(
        "update live set "
        # A migration may have left the step behind.
        "sent_mask = if($step_ix < 0, sent_mask, sent_mask & ~(1::bigint << abs($step_ix))), "
        "count_sends = greatest(count_sends - 1, 0) where enrollment_id = $enrollment_id",
        {"enrollment_id": enrollment_id, "step_ix": step_ix},
    )
