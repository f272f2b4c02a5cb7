"""Making two leads one, because a person has found that they are (R14, R18).

Belongs here: which enrollments end, counting before anything changes, rewriting what named the
other. Does not: noticing that two may be one (`inbound`, which asks a person), what an event does
to whoever runs (`reactions`).
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.engine.programme import load_programme
from pipeline.engine.reactions import react_in_running
from pipeline.engine.story import find_lead
from pipeline.engine.tick import load_files
from pipeline.ledger.serials import draw_numbers
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.ledger.store import open_ledger, transaction
from pipeline.sequences.compiled import CompiledSequence
from pipeline.settings import DripError, Settings

_HERE = Path(__file__).parent
# What becomes the kept lead's is counted in these; the column names the lead.
_COUNTED = {
    "enrollments": "lead_id",
    "sends": "lead_id",
    "events": "lead_id",
    "commands": "lead_id",
    "suppressions": "lead_id",
    "assignments": "unit_id",
}
_TWO_ARMS = """
select a.experiment_id
from assignments as a
where
    a.unit_id = $keep
    or exists (
        from account_leads as m
        where m.experiment_id = a.experiment_id and m.unit_id = a.unit_id and m.lead_id = $keep
    )
group by a.experiment_id
having count(distinct a.arm) > 1
order by a.experiment_id
"""
# One lead's news act on what runs for the other, as they would have on one lead (R16, R20).
_NEWS = """
create or replace temp table new_events as
select * replace ($onto as lead_id)
from events
where lead_id = $said_by and origin = 'live'
"""
_BLOCKS = """
create or replace temp table new_blocks as
select
    $onto as lead_id,
    $now::timestamptz as blocked_at
from suppressions
where lead_id = $said_by and reason = 'do_not_contact' and channel is null and sequence_id is null
"""


class _Undone(Exception):
    """A dry run is the real thing, taken back."""


@dataclass(frozen=True)
class Merge:
    """What a merge did, or would do.

    Attributes:
        kept: Id of the lead that stays.
        other: Id of the lead that is gone.
        is_new: False = they are one already, nothing is to be done.
        is_applied: False = a dry run.
        moved: Rows of the other lead that become the kept one's, by table.
        ended: Enrollments that end, as (sequence, enrollment, reason): those that would have run
            twice, and those that what the other lead said or did ends.
        two_arms: Experiments that the one lead, or its account, is outside of from now on.
    """

    kept: int
    other: int
    is_new: bool
    is_applied: bool
    moved: dict[str, int]
    ended: list[dict[str, Any]]
    two_arms: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the merge as plain values."""
        return asdict(self)


def merge_leads(
    settings: Settings,
    keep: str,
    other: str,
    now: datetime,
    *,
    by: str | None = None,
    is_applied: bool = False,
) -> Merge:
    """Make two leads one, or only say what that would change.

    The kept lead keeps its id and what it knows, and learns the rest. Whatever named the other
    names it from then on. Of two enrollments that run in one sequence the one further along stays,
    and none goes on that would repeat what the other lead has had.

    Args:
        settings: home and sequences.
        keep: the lead that stays: id, address, phone or external id.
        other: the lead that becomes it.
        now: the current moment.
        by: who says that they are one.
        is_applied: False = a dry run: nothing is written.

    Raises:
        DripError: nobody is called that; a message to both of them is on its way.
    """
    workspace, sequences = load_files(settings.sequences)
    found: list[Merge] = []
    with open_ledger(settings.home) as con:
        kept_id, other_id = find_lead(con, keep), find_lead(con, other)
        if kept_id == other_id:
            return Merge(kept_id, other_id, False, is_applied, {}, [], [])
        try:
            with transaction(con):
                load_programme(con, workspace, sequences, now, settings.home)
                report = _merge(con, sequences, kept_id, other_id, now, by)
                found.append(Merge(kept_id, other_id, True, is_applied, *report))
                if not is_applied:
                    raise _Undone
        except _Undone:
            pass
    return found[0]


def _merge(
    con: duckdb.DuckDBPyConnection,
    sequences: tuple[CompiledSequence, ...],
    keep: int,
    other: int,
    now: datetime,
    by: str | None,
) -> tuple[dict[str, int], list[dict[str, Any]], list[str]]:
    moved = {
        name: int(fetch_value(con, f"select count(*) from {name} where {column} = ?", [other]))  # noqa: S608 - names of our own
        for name, column in _COUNTED.items()
    }
    running = con.execute(
        "select enrollment_id from live where lead_id in ($keep, $other) and not is_ended",
        {"keep": keep, "other": other},
    ).fetchall()
    _end_doubled(con, sequences, keep, other, now)
    for onto, said_by in ((keep, other), (other, keep)):
        con.execute(_NEWS, {"onto": onto, "said_by": said_by})
        con.execute(_BLOCKS, {"onto": onto, "said_by": said_by, "now": now})
        react_in_running(con, now)
    run_file(con, _HERE / "merging_arms.sql", keep=keep, other=other, now=now)
    run_file(
        con,
        _HERE / "merging.sql",
        keep=keep,
        other=other,
        now=now,
        by=by,
        next_change=draw_numbers(con, "change_numbers", 1),
    )
    ended = con.sql(
        "select e.sequence_id as sequence, x.enrollment_id as enrollment, x.reason "
        "from enrollment_ends as x "
        "inner join enrollments as e on x.enrollment_id = e.enrollment_id "
        "where list_contains($ids::bigint[], x.enrollment_id) order by x.enrollment_id",
        params={"ids": [number for (number,) in running]},
    ).pl()
    two_arms = [name for (name,) in con.execute(_TWO_ARMS, {"keep": keep}).fetchall()]
    return moved, ended.to_dicts(), two_arms


def _end_doubled(
    con: duckdb.DuckDBPyConnection,
    sequences: tuple[CompiledSequence, ...],
    keep: int,
    other: int,
    now: datetime,
) -> None:
    frame = pl.DataFrame(
        [(s.sequence_id, s.cooldown_seconds, s.reenter == "auto") for s in sequences],
        schema={"sequence_id": pl.String, "cooldown_seconds": pl.Int64, "is_auto": pl.Boolean},
        orient="row",
    )
    con.register("reentry", frame)
    run_file(con, _HERE / "merging_doubles.sql", keep=keep, other=other)
    con.unregister("reentry")
    busy = con.execute(
        "select enrollment_id, sequence_id from doubled "
        "where status = 'in_flight' and count_running > 1 order by enrollment_id"
    ).fetchall()
    if busy:
        told = ", ".join(f"enrollment {number} of {sequence}" for number, sequence in busy)
        raise DripError(
            f"A message of {told} is on its way, and both leads are in it. "
            "Merge them when it has gone: after the next `drip tick`."
        )
    run_file(con, _HERE / "ends.sql", now=now)
