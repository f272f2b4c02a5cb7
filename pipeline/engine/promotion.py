"""Which arm of an experiment is promoted: a declared or found winner, or one that a person names.

Belongs here: reading the ledger's decision. Does not: the edit of the file (`sequences.promote`),
how a winner comes about (`analysis`).
"""

from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from pipeline.engine.rulings import RULING
from pipeline.ledger.store import open_ledger
from pipeline.sequences.promote import find_experiment, promote_arm
from pipeline.settings import DripError, Settings

_DECLARED = "select declared_arm from ruling where experiment_id = ? and declared_arm is not null"
_LAST_LOOK = """
    select looked_on, state, winner, reason
    from looks
    where experiment_id = ?
    order by looked_on desc
    limit 1
"""


@dataclass(frozen=True)
class Promotion:
    """What was edited.

    Attributes:
        diff: The edit, as a unified diff of the file.
        warning: What the ledger says against the arm, if it says anything.
    """

    experiment_id: str
    arm: str
    path: Path
    diff: str
    warning: str = ""


def promote(settings: Settings, experiment_id: str, arm: str | None = None) -> Promotion:
    """Make an arm the step itself, in the file; the tick then draws nobody any more (R19).

    Args:
        settings: Home and sequences.
        experiment_id: The experiment.
        arm: The arm that a person decides for; None = the declared winner, else that of the last
            look.

    Raises:
        DripError: there is no such experiment or arm, nothing has won, or the file's form is too
            unusual.
    """
    tested = find_experiment(settings.sequences, experiment_id)
    with open_ledger(settings.home, read_only=True) as con:
        con.execute(RULING)
        declared = con.execute(_DECLARED, [experiment_id]).fetchall()
        rows = con.execute(_LAST_LOOK, [experiment_id]).fetchall()
    if arm is None and declared:
        arm = str(declared[0][0])
    decided, warning = _judge(experiment_id, arm, rows)
    before = tested.path.read_text(encoding="utf-8")
    promote_arm(tested, decided)
    after = tested.path.read_text(encoding="utf-8")
    name = tested.path.name
    lines = unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="")
    return Promotion(experiment_id, decided, tested.path, "\n".join(lines), warning)


def _judge(experiment_id: str, arm: str | None, rows: list[tuple[object, ...]]) -> tuple[str, str]:
    """Return the arm to promote, and what speaks against it."""
    if not rows:
        told, winner = "nobody has looked at it yet: `drip refresh` does, once a day", None
    else:
        looked_on, state, winner, reason = rows[0]
        told = f"at the look of {looked_on} it was {str(state).replace('_', ' ')} ({reason})"
    if arm is None:
        if winner is None:
            raise DripError(
                f"{experiment_id} has no winner: {told}. A person may decide with --arm."
            )
        return str(winner), ""
    return arm, "" if arm == winner else f"The ledger does not name {arm} the winner: {told}."
