"""What dbt says about its latest run: which checks ran, which failed, with which rows.

Belongs here: reading run_results.json and manifest.json, asking failed tests for their rows.
Does not: running dbt (`build`), judging the finished file (`audit`).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from pipeline.settings import DripError
from pipeline.warehouse.paths import dbt_target_path, ledger_copy_path, next_path

SHOWN_ROWS = 10
GOOD = {"pass", "success", "warn"}


class AuditFailed(DripError):
    """A check of the new warehouse failed: the published one stays as it is."""


@dataclass(frozen=True)
class CheckResult:
    """One model, test or hook of a dbt run."""

    name: str
    unique_id: str
    status: str
    message: str
    compiled: str

    @property
    def breadth(self) -> int:
        """Return 0 for a model, 1 for a test of one table, 2 for one that stands in a file."""
        kind, _, _, *has_hash = self.unique_id.split(".")
        return 0 if kind != "test" else 1 if has_hash else 2

    @property
    def is_good(self) -> bool:
        """Return whether a refresh may be published with it."""
        return self.status in GOOD


@dataclass(frozen=True)
class RunResults:
    """The latest dbt run of a home."""

    invocation_id: str
    checks: tuple[CheckResult, ...]

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """Return what ran and failed, before what was skipped for it.

        Models come first, then tests of one table, then those that compare several: what failed in
        several places is told where it is nearest to its cause, whatever ran first.
        """
        bad = [check for check in self.checks if not check.is_good]
        return tuple(sorted(bad, key=lambda check: (check.status == "skipped", check.breadth)))


def read_results(home: Path) -> RunResults:
    """Read the results of the home's latest dbt run.

    Raises:
        AuditFailed: there are none.
    """
    data = _read_json(dbt_target_path(home) / "run_results.json")
    return RunResults(
        invocation_id=str(data["metadata"]["invocation_id"]),
        checks=tuple(
            CheckResult(
                name=str(result["unique_id"]).split(".")[2],
                unique_id=str(result["unique_id"]),
                status=str(result["status"]),
                message=str(result["message"] or ""),
                compiled=str(result.get("compiled_code") or ""),
            )
            for result in data["results"]
        ),
    )


def read_expected_checks(home: Path) -> set[str]:
    """Return the ids of every model that builds a table and of every test of data.

    Raises:
        AuditFailed: dbt left no manifest.
    """
    manifest = _read_json(dbt_target_path(home) / "manifest.json")
    return {
        unique_id
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "test" or node["config"]["materialized"] == "table"
    }


def explain_failures(home: Path, results: RunResults) -> AuditFailed:
    """Return the error that names the failed checks and shows rows of the first one."""
    failed = results.failed
    first = failed[0]
    others = [check.name for check in failed[1:] if check.status != "skipped"]
    lines = [f"Nothing was published: the check {first.name} failed ({first.message})."]
    if others:
        lines.append(f"So did: {', '.join(others)}.")
    lines += _failing_rows(home, first)
    lines.append(
        "Mend the facts or the model that the check names, then run `drip refresh`. "
        "Until then everybody reads the last published warehouse."
    )
    return AuditFailed("\n".join(lines))


def explain_warnings(home: Path, results: RunResults) -> tuple[str, ...]:
    """Return what failed but does not stop a refresh, each with rows of it."""
    return tuple(
        "\n".join([f"{check.name}: {check.message}", *_failing_rows(home, check)])
        for check in results.checks
        if check.status == "warn"
    )


def _failing_rows(home: Path, check: CheckResult) -> list[str]:
    if not check.unique_id.startswith("test.") or not check.compiled:
        return []
    try:
        rows = _run_test(home, check.compiled)
    except duckdb.Error as error:
        return [f"Its rows cannot be shown: {str(error).splitlines()[0]}"]
    return [f"Failing rows, {SHOWN_ROWS} at most:", *(f"  {row}" for row in rows)]


def _run_test(home: Path, compiled: str) -> list[str]:
    with duckdb.connect(str(next_path(home)), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute("attach $path as ledger (read_only)", {"path": str(ledger_copy_path(home))})
        frame = con.sql(compiled).limit(SHOWN_ROWS).pl()
    return [
        ", ".join(f"{name}={value}" for name, value in row.items())
        for row in frame.iter_rows(named=True)
    ]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AuditFailed(
            f"dbt left no readable {path.name} ({error}). Run `drip refresh` again."
        ) from None
