"""Drawing arms for leads that reach an experiment (R13, R14).

Belongs here: the draw over the temp table `drawing`. Does not: when a lead is drawn (`plan`,
`advance`), who wins (`analysis`).
"""

from pathlib import Path

import duckdb

from pipeline.ledger.statements import fetch_value, run_file

_SQL = Path(__file__).with_name("assignment.sql")
_NOBODY = (
    "create or replace temp table assigned "
    "(enrollment_id bigint, arm varchar, reason varchar, probability double)"
)


def draw_arms(con: duckdb.DuckDBPyConnection, salt: str) -> None:
    """Draw an arm for each row of the temp table `drawing`, store it, and leave `assigned`.

    A unit that has an arm keeps it; the same salt, experiment and lead always propose the same arm.
    """
    # Most steps are not on trial, and an empty table costs a tenth of the statements.
    if fetch_value(con, "select exists (from drawing)"):
        run_file(con, _SQL, salt=salt)
    else:
        con.execute(_NOBODY)
