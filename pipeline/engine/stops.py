"""Ending for good: by an operator, or because a sequence's file is archived.

Belongs here: who is ended, and that nobody follows. Does not: pauses, which end (`pauses`); what an
event ends (`reactions`).
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from pipeline.engine.pauses import (
    STOP_FILE,
    PauseReport,
    Target,
    is_in_force,
    record_pause,
    sequences_of,
)
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.ledger.store import ledger_path, open_ledger, transaction
from pipeline.sequences.compiled import CompiledSequence
from pipeline.settings import DripError, Settings

_ENDS_SQL = Path(__file__).with_name("ends.sql")
_ENDING = """
create or replace temp table ending as
select
    v.enrollment_id,
    'exited' as status,
    $reason as reason
from live as v
inner join sequence_versions as q on v.version_id = q.version_id
where
    not v.is_ended
    and (v.enrollment_id = $enrollment_id or list_contains($sequences::varchar[], q.sequence_id))
"""


def stop(settings: Settings, target: Target, now: datetime) -> PauseReport:
    """End what runs, as exited(stopped). What is stopped takes nobody in until it is resumed.

    For everything it writes the `STOP` file, without opening the ledger, so that it works when all
    else hangs: nothing more is handed over, and nobody is ended.

    Raises:
        DripError: there is no such thing, or it has ended.
    """
    if target.scope == "everything":
        return _stop_everything(settings, target)
    with open_ledger(settings.home) as con, transaction(con):
        if target.scope == "enrollment":
            count = _end(con, now, "stopped", enrollment_id=target.enrollment_id)
            if count == 0:
                raise DripError(
                    f"Enrollment {target.enrollment_id} is not running. "
                    f"`drip why enrollment:{target.enrollment_id}` tells how it stands."
                )
            _record(con, target, now, count)
            return PauseReport(str(target), count)
        names = sequences_of(settings, con, target) or []
        count = _end(con, now, "stopped", sequences=names)
        if not is_in_force(con, target):
            record_pause(settings, con, target, now, "stopped")
        _record(con, target, now, count)
        return PauseReport(str(target), count)


def _record(con: duckdb.DuckDBPyConnection, target: Target, now: datetime, count: int) -> None:
    con.execute(
        "insert into operator_acts values (?, 'stopped', ?, ?, ?)",
        [now, target.scope, target.name, f"{count} ended"],
    )


def end_archived(
    con: duckdb.DuckDBPyConnection, sequences: Sequence[CompiledSequence], now: datetime
) -> int:
    """End whoever is in an archived sequence, unless its file says `drain: true`.

    Returns how many there were.
    """
    names = [s.sequence_id for s in sequences if s.status == "archived" and not s.drain]
    return _end(con, now, "archived", sequences=names) if names else 0


def count_left_behind(settings: Settings, names: Sequence[str]) -> dict[str, int]:
    """Count who is still in sequences that have no file any more: they finish, as in a drain.

    Args:
        settings: home; without a ledger nobody is in anything.
        names: the sequences that have a file.
    """
    if not ledger_path(settings.home).exists():
        return {}
    with open_ledger(settings.home, read_only=True) as con:
        rows = con.execute(
            """
            select q.sequence_id, count(*)
            from live as v
            inner join sequence_versions as q on v.version_id = q.version_id
            where not list_contains($names::varchar[], q.sequence_id)
            group by all
            order by all
            """,
            {"names": list(names)},
        ).fetchall()
    return dict(rows)


def _end(
    con: duckdb.DuckDBPyConnection,
    now: datetime,
    reason: str,
    *,
    enrollment_id: int | None = None,
    sequences: Sequence[str] = (),
) -> int:
    con.execute(
        _ENDING,
        {"reason": reason, "enrollment_id": enrollment_id, "sequences": list(sequences)},
    )
    count = int(fetch_value(con, "select count(*) from ending"))
    if count:
        run_file(con, _ENDS_SQL, now=now)
    return count


def _stop_everything(settings: Settings, target: Target) -> PauseReport:
    if target.name is not None:
        raise DripError(f"Everything has no name: leave {target.name!r} out.")
    if not ledger_path(settings.home).exists():
        raise DripError(f"{settings.home} holds no workspace. Run `drip init` to create one.")
    path = settings.home / STOP_FILE
    if path.exists():
        raise DripError("The STOP file is there already. `drip resume everything` removes it.")
    path.touch()
    return PauseReport(str(target), 0)
