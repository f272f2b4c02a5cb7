"""Enrolling leads into running sequences: by rule, by event, on request (R12, R18).

Belongs here: who enters, holdouts included, who waits for another sequence of the campaign, what
becomes of a request. Does not: when the first step is due (`advance`), what a rule may say
(`sequences.conditions`).
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from pipeline.engine.advance import advance
from pipeline.engine.programme import Programme
from pipeline.ledger.serials import draw_numbers
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.sequences.compiled import CompiledSequence

_HERE = Path(__file__).parent
_WANTING = """
create or replace temp table wanting (
    sequence_id varchar, lead_id bigint, created_at timestamptz, enrolled_by varchar,
    command_id bigint, requested_at timestamptz, starts_at timestamptz
)
"""
_ENTERING = """
create or replace temp table entering (
    lead_id bigint, created_at timestamptz, sequence_id varchar, place integer, version_id bigint,
    entry_no smallint, is_holdout boolean, held_out_by varchar, enrolled_by varchar,
    command_id bigint, starts_at timestamptz
)
"""
_ASKING = "create or replace temp table asking (sequence_id varchar, lead_id bigint)"
_TAKING = """
create or replace temp table taking as
select
    unnest($sequences) as sequence_id, unnest($places) as place, unnest($versions) as version_id,
    unnest($reenter) as reenter, unnest($cooldowns) as cooldown_seconds, unnest($rooms) as room,
    unnest($holdouts) as holdout, unnest($goals::varchar[]) as goal_name
"""
_RIVALS = """
create or replace temp table rivals as
select unnest($sequences::varchar[]) as sequence_id, unnest($rivals::varchar[]) as rival_id
"""
_EVERYBODY = 2**62
_WAITS = "waits"

Marks = Mapping[str, tuple[str, int]]


@dataclass(frozen=True)
class _Look:
    """What this tick has to look at.

    Attributes:
        newest: Highest change number of a lead.
        marks: Name → (fingerprint, change number) of the last look.
        takes_waiting: An enrollment has ended since, so those who wait may enter.
        asked: Sequences that a request, an event or somebody who waits asks for.
    """

    newest: int
    marks: Marks
    takes_waiting: bool
    asked: frozenset[str]
    now: datetime


def enroll(con: duckdb.DuckDBPyConnection, programme: Programme, salt: str, now: datetime) -> int:
    """Enroll whoever a rule, an event or a request brings into an active sequence.

    A changed rule looks at everybody again; otherwise only leads with a new change number are read,
    and those that waited for another sequence of the campaign once an enrollment has ended.
    Sequences of one campaign take their leads one after the other, by priority and then by name.

    Returns the number of enrollments, holdouts included.
    """
    active = [
        s
        for s in programme.sequences
        if s.status == "active" and programme.is_running(s.sequence_id)
    ]
    con.execute(_WANTING)
    con.execute(_ENTERING)
    look, moved = _look(con, programme, active, now)
    for sequence in active:
        moved |= _find_wanting(con, sequence, look)
    wanted = {
        name for (name,) in con.execute("select distinct sequence_id from wanting").fetchall()
    }
    for taking in _rounds(active):
        reached = [(place, s) for place, s in taking if s.sequence_id in wanted | look.asked]
        if reached:
            _decide(con, programme, reached, look, salt)
    _move_marks(con, moved)
    return _write(con, salt, now)


def may_enter(con: duckdb.DuckDBPyConnection, programme: Programme) -> bool:
    """Say whether somebody who waits may enter, now that planning has ended enrollments."""
    if not fetch_value(con, "select exists (from entry_waits)"):
        return False
    return _look_at_waits(con, programme, _read_marks(con))[0]


def _read_marks(con: duckdb.DuckDBPyConnection) -> Marks:
    rows = con.execute("select * from watermarks").fetchall()
    return {name: (fingerprint, change_no) for name, fingerprint, change_no in rows}


def _look(
    con: duckdb.DuckDBPyConnection,
    programme: Programme,
    active: list[CompiledSequence],
    now: datetime,
) -> tuple[_Look, dict[str, tuple[str, int]]]:
    marks = _read_marks(con)
    names = [s.sequence_id for s in active]
    if fetch_value(con, "select exists (from commands where outcome is null)"):
        run_file(
            con,
            _HERE / "enroll_commands.sql",
            active=names,
            paused=[
                s.sequence_id
                for s in programme.sequences
                if s.status == "paused" or (s.status == "active" and s.sequence_id not in names)
            ],
            known=[s.sequence_id for s in programme.sequences],
            now=now,
        )
    takes_waiting, moved = _look_at_waits(con, programme, marks)
    if takes_waiting or fetch_value(con, "select exists (from entry_events)"):
        run_file(
            con,
            _HERE / "enroll_asking.sql",
            active=names,
            takes_waiting=takes_waiting,
            now=now,
        )
    else:
        con.execute(_ASKING)
    asked = con.execute(
        "select sequence_id from wanting union select sequence_id from asking"
    ).fetchall()
    newest = int(fetch_value(con, "select coalesce(max(change_no), 0) from leads"))
    return _Look(newest, marks, takes_waiting, frozenset(name for (name,) in asked), now), moved


def _look_at_waits(
    con: duckdb.DuckDBPyConnection, programme: Programme, marks: Marks
) -> tuple[bool, dict[str, tuple[str, int]]]:
    """Say whether those who wait may enter now: an enrollment ended, a file or a pause changed."""
    if not fetch_value(con, "select exists (from entry_waits)"):
        return False, {}
    settings = [
        (s.sequence_id, s.status, s.campaign, s.overlap, programme.is_running(s.sequence_id))
        for s in programme.sequences
    ]
    # Counting a whole table reads no row.
    ended = int(fetch_value(con, "select count(*) from enrollment_ends"))
    mark = (_fingerprint(settings), ended)
    return marks.get(_WAITS) != mark, {_WAITS: mark}


def _fingerprint(*parts: object) -> str:
    return hashlib.md5("|".join(map(str, parts)).encode()).hexdigest()  # noqa: S324


def _find_wanting(
    con: duckdb.DuckDBPyConnection, sequence: CompiledSequence, look: _Look
) -> dict[str, tuple[str, int]]:
    """Find who wants to enter by itself; return the new mark of a rule that has looked."""
    mark: dict[str, tuple[str, int]] = {}
    way, after = "event", _EVERYBODY
    if sequence.enroll_event is None:
        if sequence.enroll_when_sql is None:
            return mark
        name = f"enroll:{sequence.sequence_id}"
        fingerprint = _fingerprint(sequence.enroll_when_sql, sequence.max_leads, sequence.reenter)
        seen, known = look.marks.get(name, ("", 0))
        way, after = "rule", known if seen == fingerprint else 0
        if look.newest > after:
            mark[name] = (fingerprint, look.newest)
    if mark or sequence.sequence_id in look.asked:
        values = {"this_sequence": sequence.sequence_id, "after_change": after, "now": look.now}
        rule = {"enroll_when": sequence.enroll_when_sql or "true"}
        run_file(con, _HERE / "enroll_rule.sql", expressions=rule, this_way=way, **values)
        if sequence.reenter == "auto" and way == "rule":
            run_file(con, _HERE / "enroll_exits.sql", expressions=rule, **values)
    return mark


def _rounds(
    active: list[CompiledSequence],
) -> Iterator[list[tuple[int, CompiledSequence]]]:
    """Yield places and sequences that take leads at once: of a campaign, one after the other."""
    rounds: dict[int, list[tuple[int, CompiledSequence]]] = {}
    count_before: Counter[str] = Counter()
    for place, sequence in enumerate(sorted(active, key=lambda s: (-s.priority, s.sequence_id))):
        nth = 0
        if sequence.campaign is not None and not sequence.overlap:
            nth = count_before[sequence.campaign]
            count_before[sequence.campaign] += 1
        rounds.setdefault(nth, []).append((place, sequence))
    yield from (rounds[nth] for nth in sorted(rounds))


def _decide(
    con: duckdb.DuckDBPyConnection,
    programme: Programme,
    taking: list[tuple[int, CompiledSequence]],
    look: _Look,
    salt: str,
) -> None:
    places, sequences = [place for place, _ in taking], [s for _, s in taking]
    con.execute(
        _TAKING,
        {
            "sequences": [s.sequence_id for s in sequences],
            "places": places,
            "versions": [programme.version_ids[s.sequence_id] for s in sequences],
            "reenter": [s.reenter for s in sequences],
            "cooldowns": [s.cooldown_seconds for s in sequences],
            "rooms": [_room(con, s) for s in sequences],
            "holdouts": [s.holdout for s in sequences],
            "goals": [s.goal_name for s in sequences],
        },
    )
    rivals = [(s.sequence_id, rival) for s in sequences for rival in _rivals(programme, s)]
    con.execute(
        _RIVALS,
        {"sequences": [name for name, _ in rivals], "rivals": [rival for _, rival in rivals]},
    )
    run_file(
        con,
        _HERE / "enroll.sql",
        takes_waiting=look.takes_waiting,
        workspace_holdout=programme.workspace.holdout,
        salt=salt,
        now=look.now,
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
    base = draw_numbers(con, "enrollment_ids", count) - 1
    run_file(con, _HERE / "enroll_write.sql", base=base, now=now)
    if fetch_value(con, "select exists (from entered where command_id is not null)"):
        run_file(con, _HERE / "enroll_answer.sql", now=now)
    return advance(con, salt)
