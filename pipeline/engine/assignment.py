"""Drawing arms for leads that reach an experiment (R13, R14).

Belongs here: the draw over the temp table `drawing`. Does not: when a lead is drawn (`plan`,
`advance`), who wins (`analysis`).
"""

from pathlib import Path

import duckdb

from pipeline.ledger.statements import fetch_value, run_file

_HERE = Path(__file__).parent
_NO_ACCOUNTS = (
    "create or replace temp table account_of (enrollment_id bigint, unit_id bigint, "
    "version_id bigint, step_ix smallint, sample_share double, is_first boolean)"
)
_IS_BY_ACCOUNT = """
select exists (
    from drawing as d
    inner join step as s on d.version_id = s.version_id and d.step_ix = s.step_ix
    where s.account_path is not null
)
"""
_NOBODY = (
    "create or replace temp table assigned "
    "(enrollment_id bigint, experiment_id varchar, arm varchar, reason varchar, probability double)"
)


def draw_arms(con: duckdb.DuckDBPyConnection, salt: str) -> None:
    """Draw an arm for each row of the temp table `drawing`, store it, and leave `assigned`.

    A unit that has an arm keeps it; the same salt, experiment and unit always propose the same arm.
    All leads of an account get one arm where the test is by account.
    """
    # Most steps are not on trial, and an empty table costs a tenth of the statements.
    if not fetch_value(con, "select exists (from drawing)"):
        con.execute(_NOBODY)
        return
    if fetch_value(con, _IS_BY_ACCOUNT):
        run_file(con, _HERE / "assignment_accounts.sql", salt=salt)
        run_file(con, _HERE / "assignment.sql", salt=salt)
        run_file(con, _HERE / "assignment_members.sql")
    else:
        con.execute(_NO_ACCOUNTS)
        run_file(con, _HERE / "assignment.sql", salt=salt)
