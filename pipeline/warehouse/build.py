"""Builds warehouse.next.duckdb from nothing: what this refresh is, then every dbt model and test.

Belongs here: starting the file, calling dbt. Does not: models (`dbt_project`), the last look at the
file (`audit`), making it public (`publish`).
"""

import json
import warnings
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, cast

import duckdb

from pipeline.ledger.statements import run_file
from pipeline.sequences.model import Workspace
from pipeline.settings import DripError, Settings
from pipeline.warehouse.definitions import keep_definitions
from pipeline.warehouse.paths import DBT_PROJECT, dbt_target_path, ledger_copy_path, next_path
from pipeline.warehouse.results import RunResults, explain_failures, read_results

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest

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


def dbt_arguments(home: Path, settings: Settings) -> list[str]:
    """Return the arguments of a `dbt build` of this home, unit tests left out."""
    return ["build", *_project_arguments(home, settings), "--exclude-resource-type", "unit_test"]


def _project_arguments(home: Path, settings: Settings) -> list[str]:
    """Return what every command of dbt gets: the same in every refresh, so it reuses its parse."""
    paths = {
        "next": str(next_path(home).resolve()),
        "ledger": str(ledger_copy_path(home).resolve()),
        "memory_limit": settings.memory_limit,
    }
    return [
        *("--project-dir", str(DBT_PROJECT)),
        *("--profiles-dir", str(DBT_PROJECT)),
        *("--target-path", str(dbt_target_path(home).resolve())),
        *("--log-path", str((home / "dbt" / "logs").resolve())),
        *("--vars", json.dumps(paths, sort_keys=True)),
    ]


def run_dbt(home: Path, settings: Settings) -> None:
    """Run dbt in this process: the second refresh of a process starts in a fraction of the time.

    Failed models and tests are left to `check_results`.

    Raises:
        DripError: dbt could not start.
    """
    (dbt_target_path(home) / "run_results.json").unlink(missing_ok=True)
    with warnings.catch_warnings():
        # dbt's and its libraries' own deprecations are not ours to mend.
        warnings.simplefilter("ignore")
        try:
            project = _parse_project(home, settings)
            # A run writes into what it is given.
            fresh: Manifest = project.deepcopy()  # type: ignore[no-untyped-call]
            _invoke(home, dbt_arguments(home, settings), fresh)
        finally:
            _close_dbt()


_parsed: dict[tuple[tuple[Path, int], ...], "Manifest"] = {}


def _parse_project(home: Path, settings: Settings) -> "Manifest":
    """Parse the project once per process and state of its files: no model depends on the home."""
    files = [path for kind in ("*.sql", "*.yml") for path in sorted(DBT_PROJECT.rglob(kind))]
    state = tuple((path, path.stat().st_mtime_ns) for path in files)
    if state not in _parsed:
        manifest = _invoke(home, ["parse", *_project_arguments(home, settings)]).result
        _parsed.clear()
        _parsed[state] = cast("Manifest", manifest)
    return _parsed[state]


def _invoke(
    home: Path, arguments: list[str], project: "Manifest | None" = None
) -> "dbtRunnerResult":
    # Loading dbt costs a second; only a refresh needs it.
    from dbt.cli.main import dbtRunner  # noqa: PLC0415

    quiet = ["--log-level", "none", "--log-level-file", "warn", "--no-use-colors"]
    result = dbtRunner(manifest=project).invoke([*quiet, *arguments])
    if isinstance(result.exception, KeyboardInterrupt | SystemExit):
        raise result.exception
    if result.exception is not None:
        raise DripError(
            f"dbt stopped: {result.exception} Look into {home / 'dbt' / 'logs' / 'dbt.log'}."
        )
    return result


def _close_dbt() -> None:
    """Close the file that dbt holds open: once per run instead of once per model and test."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager  # noqa: PLC0415

    # Without an environment dbt never came to connect.
    with suppress(Exception):
        DuckDBConnectionManager.env().close()  # type: ignore[no-untyped-call]
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


def check_results(home: Path) -> RunResults:
    """Read the results of the dbt run and refuse failed ones.

    Raises:
        AuditFailed: a model or a test failed, or was skipped for it.
    """
    results = read_results(home)
    if results.failed:
        raise explain_failures(home, results)
    return results
