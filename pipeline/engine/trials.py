"""What arms change about a due step: its channel, its sender, its hours, whether it is there.

Belongs here: putting the arm's words over those of the step, where a running test needs it. Does
not: drawing the arm (`assignment`), what becomes of the step (`plan`).
"""

from collections.abc import Set
from pathlib import Path

import duckdb

from pipeline.ledger.statements import run_file

_HERE = Path(__file__).parent
_BY_ARM_OF_LIVE = frozenset({"channel", "send_time", "presence"})


def apply_arms(con: duckdb.DuckDBPyConnection, varied: Set[str], salt: str) -> None:
    """Give the rows of `due` what the arm has that was drawn when the step before was settled.

    Leads that are held out at their open step become ghosts there.

    Args:
        con: the ledger, with the temp table `due` and the programme's relations.
        salt: of the workspace, for the hash that holds out.
        varied: what the tests of the programme vary; without one of these nothing is asked.
    """
    if varied & _BY_ARM_OF_LIVE:
        run_file(con, _HERE / "trials_arms.sql")
    if "step_holdout" in varied:
        run_file(con, _HERE / "trials_holdouts.sql", salt=salt)


def apply_senders(con: duckdb.DuckDBPyConnection, varied: Set[str]) -> None:
    """Give the rows of `candidates` the sender of the arm that was drawn just now."""
    if "sender" in varied:
        run_file(con, _HERE / "trials_senders.sql")
