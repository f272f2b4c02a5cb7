"""What a person rules about an experiment: a winner, a pause (R14).

Belongs here: rulings as facts. Does not: what the statistics decide (`analysis`), drawing arms
(`assignment`), the file of the sequence (`promotion`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from pipeline.ledger.store import open_ledger, transaction
from pipeline.settings import DripError, Settings

# The last ruling of each kind holds.
RULING = """
create or replace temp table ruling as
select
    name as experiment_id,
    nullif(
        max_by(result, acted_at) filter (where act in ('declared', 'undeclared')), ''
    ) as declared_arm,
    coalesce(
        max_by(act, acted_at) filter (where act in ('paused', 'resumed')) = 'paused', false
    ) as is_paused
from operator_acts
where scope = 'experiment'
group by name
"""


@dataclass(frozen=True)
class Ruling:
    """How an experiment stands by what people ruled.

    Attributes:
        declared_arm: What everybody gets who is drawn from now on; None = the experiment goes on.
        is_paused: Whoever comes meanwhile gets the control, outside the analysis.
    """

    experiment_id: str
    declared_arm: str | None
    is_paused: bool


def declare(settings: Settings, experiment_id: str, arm: str | None, now: datetime) -> Ruling:
    """Declare a winner by hand: whoever is drawn from now on gets it, outside the analysis.

    Who was drawn before keeps the arm. An automatic winner gives way to a declared one.

    Args:
        settings: Home and sequences.
        experiment_id: The experiment.
        arm: The arm; None takes the last declaration back.
        now: The moment.

    Raises:
        DripError: there is no such experiment or arm, the arm was stopped for harm, or nothing was
            declared.
    """
    with open_ledger(settings.home) as con, transaction(con):
        before = _read(con, experiment_id)
        if arm is None:
            if before.declared_arm is None:
                raise DripError(f"No winner of {experiment_id} was declared.")
            return _rule(con, experiment_id, now, "undeclared", "")
        _check_arm(con, experiment_id, arm)
        if before.declared_arm == arm:
            raise DripError(f"{arm} is declared the winner of {experiment_id} already.")
        return _rule(con, experiment_id, now, "declared", arm)


def pause_experiment(
    settings: Settings, experiment_id: str, now: datetime, *, is_paused: bool, reason: str = ""
) -> Ruling:
    """Pause an experiment, or let it go on: the sequence runs, and nobody is drawn meanwhile.

    Args:
        settings: Home and sequences.
        experiment_id: The experiment.
        now: The moment.
        is_paused: Whether it is to be paused.
        reason: Why, for whoever asks later.

    Raises:
        DripError: there is no such experiment, or it stands so already.
    """
    with open_ledger(settings.home) as con, transaction(con):
        before = _read(con, experiment_id)
        if before.is_paused == is_paused:
            stands = "is paused already" if is_paused else "is not paused"
            raise DripError(f"Experiment {experiment_id} {stands}.")
        return _rule(con, experiment_id, now, "paused" if is_paused else "resumed", reason)


def _read(con: duckdb.DuckDBPyConnection, experiment_id: str) -> Ruling:
    known = [name for (name,) in con.execute("select experiment_id from experiments").fetchall()]
    if experiment_id not in known:
        raise DripError(
            f"The ledger knows no experiment {experiment_id!r}: a tick registers it. "
            f"Known: {', '.join(sorted(known)) or 'none'}."
        )
    con.execute(RULING)
    rows: list[tuple[Any, ...]] = con.execute(
        "select declared_arm, is_paused from ruling where experiment_id = ?",
        [experiment_id],
    ).fetchall()
    arm, is_paused = rows[0] if rows else (None, False)
    return Ruling(experiment_id, arm, bool(is_paused))


def _check_arm(con: duckdb.DuckDBPyConnection, experiment_id: str, arm: str) -> None:
    arms = con.execute(
        "select arm from arms where experiment_id = ? and role != 'held_out' order by arm",
        [experiment_id],
    ).fetchall()
    if (arm,) not in arms:
        known = ", ".join(name for (name,) in arms)
        raise DripError(f"{experiment_id} has no arm {arm!r}. Known: {known}.")
    stopped = con.execute(
        "select unnest(stopped) from looks where experiment_id = ?", [experiment_id]
    ).fetchall()
    if (arm,) in stopped:
        raise DripError(
            f"Arm {arm} was stopped for harm. Take it out of the file, or test it under a new id."
        )


def _rule(
    con: duckdb.DuckDBPyConnection, experiment_id: str, now: datetime, act: str, result: str
) -> Ruling:
    con.execute(
        "insert into operator_acts values (?, ?, 'experiment', ?, ?)",
        [now, act, experiment_id, result],
    )
    return _read(con, experiment_id)
