"""The dbt project in this process: parsed once, compiled by its first run, then run again.

Belongs here: dbt's arguments, its runs, what one run leaves for the next. Does not: models
(`dbt_project`), the file that a run fills (`build`), reading what became of it (`results`).
"""

import json
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.settings import DripError, Settings
from pipeline.warehouse.paths import DBT_PROJECT, dbt_target_path, ledger_copy_path, next_path

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest

_DEFINITIONS = ("manifest.json", "semantic_manifest.json")
_RESULTS = "run_results.json"
# Compiled SQL with these would be rendered once more.
_JINJA = re.compile(r"\{[{%#]|[#%}]\}")


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
    """Run dbt in this process: the second refresh of a process takes a fraction of the time.

    It leaves the files that dbt leaves; failed models and tests are left to `check_results`.

    Raises:
        DripError: dbt could not start.
    """
    target = dbt_target_path(home)
    (target / _RESULTS).unlink(missing_ok=True)
    with warnings.catch_warnings():
        # dbt's and its libraries' own deprecations are not ours to mend.
        warnings.simplefilter("ignore")
        try:
            project = _parse_project(home, settings)
            # A run writes into what it is given.
            fresh: Manifest = project.manifest.deepcopy()  # type: ignore[no-untyped-call]
            # dbt would write its definitions anew, as text of two megabytes.
            done = _invoke([*dbt_arguments(home, settings), "--no-write-json"], fresh)
        finally:
            _close_dbt()
    for name, text in project.definitions.items():
        (target / name).write_bytes(text)
    if done.result is not None:
        done.result.write(str(target / _RESULTS))  # type: ignore[union-attr]
    _keep_compiled(project.manifest, fresh)


@dataclass(frozen=True)
class _Project:
    """The project as dbt understood it, in memory and in the files that it wrote."""

    manifest: "Manifest"
    definitions: dict[str, bytes]


_parsed: dict[tuple[tuple[Path, int], ...], _Project] = {}


def _parse_project(home: Path, settings: Settings) -> _Project:
    """Parse the project once per process and state of its files: no model depends on the home."""
    files = [path for kind in ("*.sql", "*.yml") for path in sorted(DBT_PROJECT.rglob(kind))]
    state = tuple((path, path.stat().st_mtime_ns) for path in files)
    if state not in _parsed:
        manifest: Manifest = _invoke(["parse", *_project_arguments(home, settings)]).result  # type: ignore[assignment]
        target = dbt_target_path(home)
        definitions = {name: (target / name).read_bytes() for name in _DEFINITIONS}
        _parsed.clear()
        _parsed[state] = _Project(manifest, definitions)
    return _parsed[state]


def _keep_compiled(parsed: "Manifest", run: "Manifest") -> None:
    """Let the next run of this process begin with the SQL that this one compiled.

    Rendering templates and putting ephemeral models into their readers takes half of a small
    refresh. The SQL is the same in every home: nothing in it depends on more than the project.
    """
    from dbt.contracts.graph.nodes import CompiledNode, HookNode  # noqa: PLC0415

    for unique_id, node in run.nodes.items():
        # Hooks say which run they belong to, so each renders its own.
        if not isinstance(node, CompiledNode) or isinstance(node, HookNode):
            continue
        if node.compiled_code and not _JINJA.search(node.compiled_code):
            parsed.nodes[unique_id].raw_code = node.compiled_code


def _invoke(arguments: list[str], project: "Manifest | None" = None) -> "dbtRunnerResult":
    # Loading dbt costs a second; only a refresh needs it.
    from dbt.cli.main import dbtRunner  # noqa: PLC0415

    # Its log has a line per thought, none of which was ever about a failed check.
    quiet = ["--log-level", "none", "--log-level-file", "none", "--no-use-colors"]
    result = dbtRunner(manifest=project).invoke([*quiet, *arguments])
    if isinstance(result.exception, KeyboardInterrupt | SystemExit):
        raise result.exception
    if result.exception is not None:
        raise DripError(f"dbt stopped: {result.exception}")
    return result


def _close_dbt() -> None:
    """Close the file that dbt holds open: once per run instead of once per model and test."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager  # noqa: PLC0415

    # Without an environment dbt never came to connect.
    with suppress(Exception):
        DuckDBConnectionManager.env().close()  # type: ignore[no-untyped-call]
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
