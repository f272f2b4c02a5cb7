"""Enrolling leads by the rules of running sequences (R12, R18).

Belongs here: who enters, holdouts included. Does not: when the first step is due (`advance`), what
a rule may say (`sequences.conditions`).
"""

import hashlib
from datetime import datetime
from pathlib import Path

import duckdb

from pipeline.engine.advance import advance
from pipeline.engine.programme import Programme
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.sequences.compiled import CompiledSequence

_SQL = Path(__file__).with_name("enroll.sql")
_WRITE_SQL = Path(__file__).with_name("enroll_write.sql")
_ENTERING = """
create or replace temp table entering
(enrollment_id bigint, lead_id bigint, sequence_id varchar, version_id bigint, is_holdout boolean)
"""
_EVERYBODY = 2**62


def enroll(con: duckdb.DuckDBPyConnection, programme: Programme, salt: str, now: datetime) -> int:
    """Enroll new and changed leads into active sequences whose rule holds for them.

    A changed rule looks at everybody again; otherwise only leads with a new change number are read.
    Returns the number of enrollments, holdouts included.
    """
    newest = int(fetch_value(con, "select coalesce(max(change_no), 0) from leads"))
    marks = {
        name: (fingerprint, change_no)
        for name, fingerprint, change_no in con.execute("select * from watermarks").fetchall()
    }
    con.execute(_ENTERING)
    moved: dict[str, str] = {}
    for sequence in programme.sequences:
        if sequence.status != "active" or sequence.enroll_when_sql is None or not sequence.steps:
            continue
        name = f"enroll:{sequence.sequence_id}"
        fingerprint = hashlib.md5(  # noqa: S324
            f"{sequence.enroll_when_sql}|{sequence.max_leads}".encode()
        ).hexdigest()
        seen, after = marks.get(name, ("", 0))
        after = after if seen == fingerprint else 0
        if newest > after:
            _find_entering(con, programme, sequence, after, salt, now)
            moved[name] = fingerprint
    if not moved:
        return 0
    con.execute("delete from watermarks where name in (select unnest(?))", [list(moved)])
    con.execute(
        "insert into watermarks select unnest(?), unnest(?), ?",
        [list(moved), list(moved.values()), newest],
    )
    if not fetch_value(con, "select exists (from entering)"):
        return 0
    run_file(con, _WRITE_SQL, now=now)
    return advance(con, salt)


def _find_entering(
    con: duckdb.DuckDBPyConnection,
    programme: Programme,
    sequence: CompiledSequence,
    after_change: int,
    salt: str,
    now: datetime,
) -> None:
    run_file(
        con,
        _SQL,
        expressions={"enroll_when": sequence.enroll_when_sql or "false"},
        sequence_id=sequence.sequence_id,
        version_id=programme.version_ids[sequence.sequence_id],
        after_change=after_change,
        room=_room(con, sequence),
        holdout=sequence.holdout,
        salt=salt,
        now=now,
    )


def _room(con: duckdb.DuckDBPyConnection, sequence: CompiledSequence) -> int:
    """Return how many more leads the sequence may take; holdouts take no place."""
    if sequence.max_leads is None:
        return _EVERYBODY
    taken = fetch_value(
        con,
        "select count(*) from enrollments where sequence_id = ? and not is_holdout",
        [sequence.sequence_id],
    )
    return max(0, sequence.max_leads - int(taken))
