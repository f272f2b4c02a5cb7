"""Builds warehouse.next.duckdb from nothing: what this refresh is, then every dbt model and test.

Belongs here: starting the file, judging what dbt has done. Does not: how dbt runs (`project`),
models (`dbt_project`), the last look at the file (`audit`), making it public (`publish`).
"""

from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import duckdb

from pipeline.ledger.statements import run_file
from pipeline.sequences.model import Workspace
from pipeline.settings import DripError, Settings
from pipeline.warehouse.definitions import keep_definitions
from pipeline.warehouse.paths import ledger_copy_path, next_path
from pipeline.warehouse.project import run_dbt
from pipeline.warehouse.results import RunResults, explain_failures, read_results

_META = Path(__file__).with_name("meta.sql")


def build_warehouse(
    home: Path, settings: Settings, now: datetime, refresh_id: str, workspace: Workspace
) -> RunResults:
    """Build the next warehouse from the copy of the ledger and run every test on it.

    Args:
        home: the workspace; its ledger was copied by `copy_facts`.
        settings: for the memory limit.
        now: the moment of the facts.
        refresh_id: names this refresh; `audit` and `publish` ask for the same.
        workspace: what models read of workspace.yml: zone, currency, the way to share out revenue.

    Raises:
        AuditFailed: a model or a test failed; the message shows the failing rows.
    """
    start_next(home, now, refresh_id, workspace)
    run_dbt(home, settings)
    results = check_results(home)
    keep_definitions(home)
    return results


def start_next(home: Path, now: datetime, refresh_id: str, workspace: Workspace) -> None:
    """Begin the next file with nothing but what this refresh is."""
    discard_next(home)
    copy = ledger_copy_path(home)
    if not copy.exists():
        raise DripError(f"{copy} is missing. Run `drip refresh`, which copies the ledger first.")
    with duckdb.connect(str(next_path(home))) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute("attach $path as ledger (read_only)", {"path": str(copy)})
        run_file(
            con,
            _META,
            refresh_id=refresh_id,
            now=now,
            version=version("driplab"),
            timezone=workspace.timezone,
            currency=workspace.currency,
            attribution=workspace.attribution,
        )
        for metric, target, is_floor in workspace.targets.as_rows():
            con.execute("insert into meta.targets values (?, ?, ?)", [metric, target, is_floor])
        for currency, since, rate in workspace.rates_as_rows():
            con.execute("insert into meta.rates values (?, ?, ?)", [currency, since, rate])


def discard_next(home: Path) -> None:
    """Delete what an earlier refresh, failed or killed, left behind."""
    for path in home.glob(next_path(home).name + "*"):
        if path.is_file():
            path.unlink()


def check_results(home: Path) -> RunResults:
    """Read the results of the dbt run and refuse failed ones.

    Raises:
        AuditFailed: a model or a test failed, or was skipped for it.
    """
    results = read_results(home)
    if results.failed:
        raise explain_failures(home, results)
    return results
