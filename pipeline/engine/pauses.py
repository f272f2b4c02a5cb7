"""Pauses of an enrollment, a sequence, a campaign or everything; what their end gives back (R6).

Belongs here: pauses as facts, by an operator, a file or the `STOP` file. Does not: pausing by an
event (`reactions`), ending for good (`stops`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import duckdb

from pipeline.engine.resuming import give_back, resume_due
from pipeline.ledger.statements import fetch_value
from pipeline.ledger.store import open_ledger, transaction
from pipeline.sequences.compile import load_sequences, load_workspace
from pipeline.sequences.compiled import CompiledSequence
from pipeline.settings import DripError, Settings

Scope = Literal["enrollment", "sequence", "campaign", "everything"]
SCOPES: tuple[Scope, ...] = ("enrollment", "sequence", "campaign", "everything")
STOP_FILE = "STOP"

_RESUMING = """
create or replace temp table resuming
(enrollment_id bigint, paused_at timestamptz, until_at timestamptz)
"""
_RESUMING_OF_SCOPE = """
insert into resuming
select
    v.enrollment_id,
    p.paused_at,
    $now
from live as v
inner join sequence_versions as q on v.version_id = q.version_id
inner join pauses as p
    on
        p.resumed_at is null
        and p.scope = $scope
        and p.name is not distinct from $name
        and p.paused_by = $paused_by
        and (p.scope = 'everything' or q.sequence_id = p.name)
"""
_CLOSE = """
update pauses set resumed_at = $now
where
    resumed_at is null
    and scope = $scope
    and name is not distinct from $name
    and paused_by = $paused_by
"""
_COUNT = """
select count(*)
from live as v
inner join sequence_versions as q on v.version_id = q.version_id
where not v.is_ended and ($names::varchar[] is null or list_contains($names, q.sequence_id))
"""


@dataclass(frozen=True)
class Target:
    """What a command is about: a scope and, except for everything, its name or number."""

    scope: Scope
    name: str | None = None

    def __str__(self) -> str:
        return self.scope if self.name is None else f"{self.scope} {self.name}"

    @property
    def enrollment_id(self) -> int:
        """The number of the enrollment.

        Raises:
            DripError: the name is no number.
        """
        if self.name is None or not self.name.isdecimal():
            raise DripError(
                f"{self.name!r} is no enrollment. Give its number: `drip why LEAD` names it."
            )
        return int(self.name)


@dataclass(frozen=True)
class PauseReport:
    """What a pause or a resume did.

    Attributes:
        count: Running enrollments that it concerns.
        due_at: When the open step of a single enrollment is due now.
        still_paused_by: What holds them up all the same, in words.
    """

    target: str
    count: int
    due_at: datetime | None = None
    still_paused_by: tuple[str, ...] = ()


def pause(
    settings: Settings, target: Target, now: datetime, reason: str = "operator"
) -> PauseReport:
    """Pause: nothing of it is planned or handed over until it is resumed.

    A message that has begun to go out is not called back.

    Raises:
        DripError: there is no such thing, or it is paused already.
    """
    with open_ledger(settings.home) as con, transaction(con):
        if target.scope == "enrollment":
            return _pause_enrollment(con, target, now, reason)
        names = sequences_of(settings, con, target)
        if is_in_force(con, target):
            raise DripError(
                f"{str(target).capitalize()} is paused already. `drip resume {target}` resumes it."
            )
        record_pause(settings, con, target, now, reason)
        return PauseReport(str(target), _count_running(con, names))


def resume(settings: Settings, target: Target, now: datetime) -> PauseReport:
    """Resume: due times move by the length of the pause; what else is paused stays so.

    `everything` also takes the `STOP` file away.

    Raises:
        DripError: no pause by a person or an event is in force.
    """
    with open_ledger(settings.home) as con, transaction(con):
        if target.scope == "enrollment":
            return _resume_enrollment(con, target, now)
        names = sequences_of(settings, con, target)
        stop_file = settings.home / STOP_FILE
        is_stopped = target.scope == "everything" and stop_file.exists()
        if not is_in_force(con, target) and not is_stopped:
            raise DripError(_why_not(con, target))
        # What has ended by itself meanwhile did so before this does.
        resume_due(con, now, target.name if target.scope == "sequence" else None)
        if is_stopped:
            stop_file.unlink()
            _lift(con, target.scope, target.name, "STOP", now)
        _lift(con, target.scope, target.name, "operator", now)
        if target.scope == "campaign":
            _reconcile(settings, con, now)
        held: list[str | None] = [*names] if names is not None else [None]
        others = dict.fromkeys(told for name in held for told in _told(con, name))
        return PauseReport(str(target), _count_running(con, names), still_paused_by=tuple(others))


def resume_enrollment(settings: Settings, enrollment_id: int, now: datetime) -> datetime:
    """Let a paused enrollment go on; returns the new due time of its open step.

    Raises:
        DripError: it is not paused.
    """
    report = resume(settings, Target("enrollment", str(enrollment_id)), now)
    assert report.due_at is not None  # noqa: S101 - an enrollment that was paused has an open step
    return report.due_at


def reconcile_pauses(
    con: duckdb.DuckDBPyConnection,
    sequences: Sequence[CompiledSequence],
    now: datetime,
    *,
    is_stopped: bool,
) -> bool:
    """Record what the files pause since the last tick, and end what they pause no longer.

    A file says `status: paused`, or `draft` with leads in it, or names a campaign that an operator
    has paused; the `STOP` file pauses everything. Returns whether anything has changed.
    """
    known = {
        name for (name,) in con.execute("select sequence_id from sequence_versions").fetchall()
    }
    wanted: set[tuple[str, str | None, str, str]] = {
        ("sequence", s.sequence_id, "file", "file")
        for s in sequences
        if s.status == "paused" or (s.status == "draft" and s.sequence_id in known)
    }
    rows = con.execute("select name from pauses where scope = 'campaign' and resumed_at is null")
    campaigns = {name for (name,) in rows.fetchall()}
    wanted |= {
        ("sequence", s.sequence_id, "campaign", s.campaign)
        for s in sequences
        if s.campaign and s.campaign in campaigns
    }
    if is_stopped:
        wanted.add(("everything", None, "STOP", "the file STOP"))
    found = set(
        con.execute(
            "select scope, name, paused_by, reason from pauses "
            "where resumed_at is null and paused_by != 'operator'"
        ).fetchall()
    )
    for scope, name, paused_by, reason in sorted(wanted - found, key=str):
        con.execute(
            "insert into pauses values (?, ?, ?, ?, null, ?)", [scope, name, paused_by, now, reason]
        )
    for scope, name, paused_by, _ in sorted(found - wanted, key=str):
        _lift(con, scope, name, paused_by, now)
    return found != wanted


def read_halted(con: duckdb.DuckDBPyConnection) -> tuple[bool, frozenset[str]]:
    """Return whether everything is paused, and which sequences are, for whatever reason."""
    rows = con.execute(
        "select distinct scope, name from pauses where resumed_at is null and scope != 'campaign'"
    ).fetchall()
    names = frozenset(name for scope, name in rows if scope == "sequence")
    return any(scope == "everything" for scope, _ in rows), names


def sequences_of(
    settings: Settings, con: duckdb.DuckDBPyConnection, target: Target
) -> list[str] | None:
    """Return the sequences that a target means; None means all.

    Raises:
        DripError: there is no such thing, or a name is missing or one too many.
    """
    if target.scope == "everything":
        if target.name is not None:
            raise DripError(f"Everything has no name: leave {target.name!r} out.")
        return None
    if target.name is None:
        raise DripError(f"Which {target.scope}? Give its name: `drip status` lists them.")
    if target.scope == "campaign":
        members = _campaigns(settings, con)
    else:
        rows = con.execute("select distinct sequence_id from sequence_versions").fetchall()
        members = {name: [name] for (name,) in rows}
    if target.name not in members:
        known = ", ".join(sorted(members)) or "none"
        if target.scope == "campaign":
            raise DripError(f"Campaign {target.name!r} is in no file. Known: {known}.")
        raise DripError(f"No sequence {target.name!r} has run yet. Known: {known}.")
    return members[target.name]


def _campaigns(settings: Settings, con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    # A paused campaign can be resumed although no file names it any more.
    rows = con.execute("select name from pauses where scope = 'campaign' and resumed_at is null")
    members: dict[str, list[str]] = {name: [] for (name,) in rows.fetchall()}
    for sequence in _read_files(settings):
        if sequence.campaign:
            members.setdefault(sequence.campaign, []).append(sequence.sequence_id)
    return members


def record_pause(
    settings: Settings,
    con: duckdb.DuckDBPyConnection,
    target: Target,
    now: datetime,
    reason: str,
) -> None:
    """Put an operator's pause of a sequence, a campaign or everything in force."""
    con.execute(
        "insert into pauses values (?, ?, 'operator', ?, null, ?)",
        [target.scope, target.name, now, reason],
    )
    if target.scope == "campaign":
        _reconcile(settings, con, now)


def _reconcile(settings: Settings, con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    is_stopped = (settings.home / STOP_FILE).exists()
    reconcile_pauses(con, _read_files(settings), now, is_stopped=is_stopped)


def _read_files(settings: Settings) -> Sequence[CompiledSequence]:
    return load_sequences(settings.sequences, load_workspace(settings.sequences))


def _pause_enrollment(
    con: duckdb.DuckDBPyConnection, target: Target, now: datetime, reason: str
) -> PauseReport:
    number = target.enrollment_id
    rows = con.execute(
        "update live set is_paused = true "
        "where enrollment_id = ? and not is_paused and not is_ended returning due_at",
        [number],
    ).fetchall()
    if not rows:
        raise DripError(f"Enrollment {number} {_how_it_stands(con, number)}.")
    con.execute(
        "insert into enrollment_pauses by name select $1 as enrollment_id, $2 as paused_at, "
        "$3 as reason",
        [number, now, reason],
    )
    return PauseReport(str(target), 1, rows[0][0])


def _how_it_stands(con: duckdb.DuckDBPyConnection, number: int) -> str:
    if not fetch_value(con, "select count(*) from enrollments where enrollment_id = ?", [number]):
        return "does not exist. `drip why LEAD` names a lead's enrollments"
    if fetch_value(
        con, "select count(*) from live where enrollment_id = ? and is_paused", [number]
    ):
        return f"is paused already. `drip resume enrollment {number}` resumes it"
    return f"has ended. `drip why enrollment:{number}` tells how"


def _resume_enrollment(
    con: duckdb.DuckDBPyConnection, target: Target, now: datetime
) -> PauseReport:
    number = target.enrollment_id
    con.execute(_RESUMING)
    con.execute(
        """
        insert into resuming
        select v.enrollment_id, p.paused_at, $now
        from live as v
        inner join enrollment_pauses as p on v.enrollment_id = p.enrollment_id
        where v.enrollment_id = $number and v.is_paused and p.resumed_at is null
        """,
        {"number": number, "now": now},
    )
    if not fetch_value(con, "select count(*) from resuming"):
        raise DripError(
            f"Enrollment {number} is not paused. `drip why enrollment:{number}` "
            "tells how it stands."
        )
    con.execute(
        "update enrollment_pauses set resumed_at = ? "
        "where enrollment_id = ? and resumed_at is null",
        [now, number],
    )
    con.execute("update live set is_paused = false where enrollment_id = ?", [number])
    give_back(con)
    due_at, sequence_id = con.execute(
        "select v.due_at, q.sequence_id from live as v "
        "inner join sequence_versions as q on v.version_id = q.version_id "
        "where v.enrollment_id = ?",
        [number],
    ).fetchall()[0]
    others = tuple(_told(con, sequence_id))
    return PauseReport(str(target), 1, due_at, others)


def _lift(
    con: duckdb.DuckDBPyConnection, scope: str, name: str | None, paused_by: str, now: datetime
) -> None:
    values = {"scope": scope, "name": name, "paused_by": paused_by, "now": now}
    con.execute(_RESUMING)
    con.execute(_RESUMING_OF_SCOPE, values)
    con.execute(_CLOSE, values)
    give_back(con)


def is_in_force(con: duckdb.DuckDBPyConnection, target: Target) -> bool:
    """Return whether an operator has paused just this."""
    sql = (
        "select count(*) from pauses where resumed_at is null and paused_by = 'operator' "
        "and scope = ? and name is not distinct from ?"
    )
    return bool(fetch_value(con, sql, [target.scope, target.name]))


def _told(con: duckdb.DuckDBPyConnection, sequence_id: str | None) -> list[str]:
    """Say what holds up a sequence, or everything."""
    rows = con.execute(
        "select scope, name, paused_by, reason from pauses where resumed_at is null "
        "and (scope = 'everything' or (scope = 'sequence' and name = ?)) "
        "order by paused_at, paused_by",
        [sequence_id],
    ).fetchall()
    return [describe_pause(*row) for row in rows]


def describe_pause(scope: str, name: str | None, paused_by: str, reason: str) -> str:
    """Say in words what is paused, and how that ends."""
    if paused_by == "file":
        return f"sequence {name} by its file: write `status: active` in {name}.yml"
    if paused_by == "campaign":
        return f"sequence {name} by its campaign: `drip resume campaign {reason}`"
    if paused_by == "STOP":
        return "everything by the file STOP: `drip resume everything` removes it"
    target = Target("everything") if name is None else f"{scope} {name}"
    return f"{target} by an operator ({reason}): `drip resume {target}`"


def _why_not(con: duckdb.DuckDBPyConnection, target: Target) -> str:
    others = _told(con, target.name)
    if others:
        return f"No `drip pause {target}` is in force, but it is paused: {'; '.join(others)}."
    return f"{str(target).capitalize()} is not paused."


def _count_running(con: duckdb.DuckDBPyConnection, names: list[str] | None) -> int:
    return int(fetch_value(con, _COUNT, {"names": names}))
