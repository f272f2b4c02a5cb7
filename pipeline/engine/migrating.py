"""Moving running enrollments to another version of their sequence (R19).

Belongs here: who can move, counting before anything moves, moving. Does not: what a version is
(`sequences.compile`), due times (`advance`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from pipeline.engine.advance import advance
from pipeline.engine.programme import Programme, load_programme
from pipeline.engine.tick import load_files
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.ledger.store import open_ledger, transaction
from pipeline.settings import DripError, Settings, load_keys

_HERE = Path(__file__).parent
FILE = "file"
"""Stands for the version that the sequence's file is now."""
# So many of those who would be contacted today are named; all are counted.
MOST_NAMED = 100
_ENDING = """
create or replace temp table ending as
select enrollment_id, 'exited' as status, 'migrated' as reason
from movers
where fate in ('vanished', 'again')
"""
_TODAY = """
select v.lead_id, v.enrollment_id, s.step_id, greatest(v.due_at, v.slot_at) as due_at
from live as v
inner join migrations as g on v.enrollment_id = g.enrollment_id and g.migrated_at = $now
inner join step as t on v.version_id = t.version_id and v.step_ix = t.step_ix
inner join steps as s on v.version_id = s.version_id and v.step_ix = s.step_ix
where
    t.channel is not null and t.is_running and not v.is_paused and not v.is_holdout
    and greatest(v.due_at, v.slot_at) < $tomorrow
order by due_at, v.enrollment_id
"""


class _Undone(Exception):
    """A dry run is the real thing, taken back."""


@dataclass(frozen=True)
class Migration:
    """What a migration did, or would do.

    Attributes:
        version: The version moved to.
        is_applied: False = a dry run.
        moved: Enrollments that move, by the version they are on and the open step there.
        ended: Enrollments that end, by open step, as exited(migrated).
        busy: Enrollments in the middle of a message, which stay: to be moved another time.
        contacted_today: How many of the moved are due today, by the workspace's clock.
        first: The first of these: lead, enrollment, step, due time.
    """

    sequence_id: str
    version: str
    is_applied: bool
    moved: list[dict[str, Any]]
    ended: dict[str, int]
    busy: int
    contacted_today: int
    first: list[dict[str, Any]]

    @property
    def count(self) -> int:
        """How many move."""
        return sum(row["count"] for row in self.moved)

    def as_dict(self) -> dict[str, Any]:
        """Return the migration as plain values."""
        return asdict(self)


def migrate(
    settings: Settings,
    sequence: str,
    now: datetime,
    *,
    to: str = FILE,
    renamed: Mapping[str, str] | None = None,
    ends_others: bool = False,
    is_applied: bool = False,
) -> Migration:
    """Move whoever runs in a sequence to another of its versions, or only say who would move.

    Settled steps stay settled, by their ids; the open step is due by its new delay from its own
    anchor, and at once where that has passed.

    Args:
        settings: home and sequences.
        sequence: its id.
        now: the current moment.
        to: `file`, or the beginning of a version that the ledger knows.
        renamed: new ids of steps by their old ones.
        ends_others: ends those whose open step is not there any more, or would come again.
        is_applied: False = a dry run: nothing is written.

    Raises:
        DripError: no such sequence, version or step; an open step vanishes and nothing says what
            becomes of those who wait for it.
    """
    workspace, sequences = load_files(settings.sequences)
    tomorrow = _tomorrow(now, workspace.timezone)
    found: list[Migration] = []
    with open_ledger(settings.home) as con:
        try:
            with transaction(con):
                programme = load_programme(con, workspace, sequences, now, settings.home)
                version_id, version = _find_version(con, programme, sequence, to)
                programme = load_programme(
                    con, workspace, sequences, now, settings.home, also=version_id
                )
                _look(con, sequence, version_id, renamed or {}, now)
                moved, ended, busy = _count(con)
                if ended and not ends_others:
                    raise DripError(_explain(con, sequence))
                _move(con, sequence, version_id, load_keys(settings.home).salt, now)
                today = con.sql(_TODAY, params={"now": now, "tomorrow": tomorrow}).pl().to_dicts()
                found.append(
                    Migration(
                        sequence_id=sequence,
                        version=version,
                        is_applied=is_applied,
                        moved=moved,
                        ended=ended,
                        busy=busy,
                        contacted_today=len(today),
                        first=today[:MOST_NAMED],
                    )
                )
                if not is_applied:
                    raise _Undone
        except _Undone:
            pass
    return found[0]


def _tomorrow(now: datetime, zone: str) -> datetime:
    today = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)


def _find_version(
    con: duckdb.DuckDBPyConnection, programme: Programme, sequence: str, to: str
) -> tuple[int, str]:
    rows = con.execute(
        "select version_id, version from sequence_versions "
        "where sequence_id = ? and origin = 'live' order by version_id",
        [sequence],
    ).fetchall()
    if not rows:
        raise DripError(f"No sequence {sequence!r} has run yet: there is nobody to migrate.")
    if to == FILE:
        if sequence not in programme.version_ids:
            raise DripError(
                f"{sequence} has no file any more. Give `--to` one of the versions that it had: "
                f"{_name(rows)}."
            )
        number = programme.version_ids[sequence]
        return number, next(version for version_id, version in rows if version_id == number)
    hits = [row for row in rows if row[1].startswith(to)]
    if len(hits) != 1:
        what = "No version" if not hits else "More than one version"
        raise DripError(
            f"{what} of {sequence} begins with {to!r}. Known: {_name(rows)}; `file` is the file's."
        )
    return int(hits[0][0]), str(hits[0][1])


def _name(rows: list[tuple[int, str]]) -> str:
    return ", ".join(version[:12] for _, version in rows)


def _look(
    con: duckdb.DuckDBPyConnection,
    sequence: str,
    version_id: int,
    renamed: Mapping[str, str],
    now: datetime,
) -> None:
    """Leave `movers`: everybody on another version, with what becomes of them."""
    _check_names(con, sequence, version_id, renamed)
    frame = pl.DataFrame(
        list(renamed.items()), schema={"old_id": pl.String, "new_id": pl.String}, orient="row"
    )
    con.register("renamed", frame)
    run_file(con, _HERE / "migrate.sql", sequence_id=sequence, version_id=version_id, now=now)
    con.unregister("renamed")


def _check_names(
    con: duckdb.DuckDBPyConnection, sequence: str, version_id: int, renamed: Mapping[str, str]
) -> None:
    rows = con.execute(
        "select s.step_id, bool_or(s.version_id = ?) from steps as s "
        "inner join sequence_versions as q on s.version_id = q.version_id "
        "where q.sequence_id = ? group by s.step_id order by s.step_id",
        [version_id, sequence],
    ).fetchall()
    known = [step_id for step_id, _ in rows]
    new = [step_id for step_id, is_there in rows if is_there]
    for old, target in renamed.items():
        if old not in known:
            raise DripError(f"No version has a step {old!r}. Steps: {', '.join(known)}.")
        if target not in new:
            raise DripError(f"The new version has no step {target!r}. Steps: {', '.join(new)}.")


def _count(con: duckdb.DuckDBPyConnection) -> tuple[list[dict[str, Any]], dict[str, int], int]:
    moved = con.sql(
        "select q.version, m.step_id, count(*) as count from movers as m "
        "inner join sequence_versions as q on m.version_id = q.version_id "
        "where m.fate = 'moves' group by all order by all"
    )
    ended = con.execute(
        "select step_id, count(*) from movers where fate in ('vanished', 'again') "
        "group by all order by all"
    ).fetchall()
    busy = fetch_value(con, "select count(*) from movers where fate = 'busy'")
    return moved.pl().to_dicts(), dict(ended), int(busy)


def _explain(con: duckdb.DuckDBPyConnection, sequence: str) -> str:
    rows = con.execute(
        "select step_id, fate, count(*) from movers where fate in ('vanished', 'again') "
        "group by all order by all"
    ).fetchall()
    words = {
        "vanished": "wait for {step}, which the new version does not have",
        "again": "wait for {step}, and would get after it what they have had already",
    }
    told = "; ".join(f"{count} {words[fate].format(step=step)}" for step, fate, count in rows)
    return (
        f"Of those in {sequence}, {told}. Say where they go on with `--map OLD=NEW`, end them with "
        "`--exit`, or keep the ids and the order of steps in the file."
    )


def _move(
    con: duckdb.DuckDBPyConnection, sequence: str, version_id: int, salt: str, now: datetime
) -> None:
    con.execute(_ENDING)
    run_file(con, _HERE / "ends.sql", now=now)
    run_file(con, _HERE / "migrate_move.sql", sequence_id=sequence, version_id=version_id, now=now)
    if advance(con, salt):
        run_file(con, _HERE / "migrate_due.sql", version_id=version_id, now=now)
