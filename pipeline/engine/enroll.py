"""Enrolling leads into running sequences (R12, R18).

Belongs here: who enters, holdouts included, and who waits for another sequence of the campaign.
Does not: when the first step is due (`advance`), what a rule may say (`sequences.conditions`).
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import duckdb

from pipeline.engine.advance import advance
from pipeline.engine.programme import Programme
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.sequences.compiled import CompiledSequence

_SQL = Path(__file__).with_name("enroll.sql")
_RULE_SQL = Path(__file__).with_name("enroll_rule.sql")
_WRITE_SQL = Path(__file__).with_name("enroll_write.sql")
_WANTING = """
create or replace temp table wanting (
    sequence_id varchar, lead_id bigint, created_at timestamptz, enrolled_by varchar
)
"""
_ENTERING = """
create or replace temp table entering (
    lead_id bigint, created_at timestamptz, sequence_id varchar, place integer, version_id bigint,
    is_holdout boolean, held_out_by varchar, enrolled_by varchar
)
"""
_EVERYBODY = 2**62
_WAITS = "waits"

Marks = Mapping[str, tuple[str, int]]


def enroll(con: duckdb.DuckDBPyConnection, programme: Programme, salt: str, now: datetime) -> int:
    """Enroll new and changed leads into active sequences whose rule holds for them.

    A changed rule looks at everybody again; otherwise only leads with a new change number are read,
    and those that waited for another sequence of the campaign once an enrollment has ended.
    Sequences take their leads one after the other, by priority and then by name.

    Returns the number of enrollments, holdouts included.
    """
    active = [s for s in programme.sequences if s.status == "active" and s.steps]
    marks: Marks = {
        name: (fingerprint, change_no)
        for name, fingerprint, change_no in con.execute("select * from watermarks").fetchall()
    }
    takes_waiting, moved = _look_at_waits(con, programme, marks)
    newest = int(fetch_value(con, "select coalesce(max(change_no), 0) from leads"))
    con.execute(_WANTING)
    con.execute(_ENTERING)
    for place, sequence in enumerate(sorted(active, key=lambda s: s.sequence_id)):
        if sequence.enroll_when_sql is None:
            continue
        if not programme.is_running(sequence.sequence_id):
            continue
        name = f"enroll:{sequence.sequence_id}"
        fingerprint = _fingerprint(sequence.enroll_when_sql, sequence.max_leads)
        seen, after = marks.get(name, ("", 0))
        after = after if seen == fingerprint else 0
        if newest > after or takes_waiting:
            _find_wanting(con, sequence, after, takes_waiting, now)
            _decide(con, programme, sequence, place, takes_waiting, salt, now)
            moved[name] = (fingerprint, newest)
    _move_marks(con, moved)
    return _write(con, salt, now)


def _look_at_waits(
    con: duckdb.DuckDBPyConnection, programme: Programme, marks: Marks
) -> tuple[bool, dict[str, tuple[str, int]]]:
    """Say whether those who wait may enter now: an enrollment has ended, or a file has changed."""
    if not fetch_value(con, "select exists (from entry_waits)"):
        return False, {}
    settings = [(s.sequence_id, s.status, s.campaign, s.overlap) for s in programme.sequences]
    # Counting a whole table reads no row.
    ended = int(fetch_value(con, "select count(*) from enrollment_ends"))
    mark = (_fingerprint(settings), ended)
    return marks.get(_WAITS) != mark, {_WAITS: mark}


def _fingerprint(*parts: object) -> str:
    return hashlib.md5("|".join(map(str, parts)).encode()).hexdigest()  # noqa: S324


def _find_wanting(
    con: duckdb.DuckDBPyConnection,
    sequence: CompiledSequence,
    after_change: int,
    takes_waiting: bool,
    now: datetime,
) -> None:
    run_file(
        con,
        _RULE_SQL,
        expressions={"enroll_when": sequence.enroll_when_sql or "false"},
        this_sequence=sequence.sequence_id,
        after_change=after_change,
        takes_waiting=takes_waiting,
        now=now,
    )


def _decide(
    con: duckdb.DuckDBPyConnection,
    programme: Programme,
    sequence: CompiledSequence,
    place: int,
    takes_waiting: bool,
    salt: str,
    now: datetime,
) -> None:
    run_file(
        con,
        _SQL,
        this_sequence=sequence.sequence_id,
        this_version=programme.version_ids[sequence.sequence_id],
        this_place=place,
        rivals=_rivals(programme, sequence),
        takes_waiting=takes_waiting,
        room=_room(con, sequence),
        holdout=sequence.holdout,
        workspace_holdout=programme.workspace.holdout,
        salt=salt,
        now=now,
    )


def _rivals(programme: Programme, sequence: CompiledSequence) -> list[str]:
    """Name the sequences in which a lead may not be at the same time, whatever their status."""
    if sequence.campaign is None or sequence.overlap:
        return []
    return [
        other.sequence_id
        for other in programme.sequences
        if other.campaign == sequence.campaign
        and not other.overlap
        and other.sequence_id != sequence.sequence_id
    ]


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


def _move_marks(con: duckdb.DuckDBPyConnection, moved: Marks) -> None:
    if not moved:
        return
    con.execute("delete from watermarks where name in (select unnest(?))", [list(moved)])
    con.execute(
        "insert into watermarks select unnest(?), unnest(?), unnest(?)",
        [
            list(moved),
            [fingerprint for fingerprint, _ in moved.values()],
            [change_no for _, change_no in moved.values()],
        ],
    )


def _write(con: duckdb.DuckDBPyConnection, salt: str, now: datetime) -> int:
    count = int(fetch_value(con, "select count(*) from entering"))
    if count == 0:
        return 0
    first = fetch_value(
        con, "select min(n) from (select nextval('enrollment_ids') as n from range(?))", [count]
    )
    run_file(con, _WRITE_SQL, base=int(first) - 1, now=now)
    return advance(con, salt)
