"""The last look at the finished file: alone, whole, and of this very refresh.

Belongs here: opening it without the ledger, reading all of it once, comparing with dbt's results.
Does not: the tests of the data (`dbt_project`), replacing the published file (`publish`).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from pipeline.warehouse.paths import next_path
from pipeline.warehouse.results import (
    AuditFailed,
    RunResults,
    explain_failures,
    explain_warnings,
    read_expected_checks,
    read_results,
)

_ROW_COUNTS = Path(__file__).with_name("row_counts.sql")


@dataclass(frozen=True)
class AuditReport:
    """What was looked at."""

    rows: dict[str, int]
    count_checks: int
    warnings: tuple[str, ...]


def audit_warehouse(home: Path, refresh_id: str, now: datetime) -> AuditReport:
    """Check the next warehouse and mark it as audited.

    Args:
        home: the workspace.
        refresh_id: the refresh that must have made the file, dbt's results and nothing else.
        now: written down as the moment of the audit.

    Raises:
        AuditFailed: it is of another refresh, a check failed or did not run, a relation cannot be
            read, a mart has lost or gained rows, or the metrics have no definitions.
    """
    path = next_path(home)
    if not path.exists():
        raise AuditFailed(f"{path} does not exist. Run `drip refresh`.")
    results = read_results(home)
    with duckdb.connect(str(path)) as con:
        con.execute("set TimeZone = 'UTC'")
        _check_identity(con, refresh_id, results)
        _check_results(home, results)
        rows = _read_every_relation(con)
        _check_definitions(rows)
        _check_row_counts(con)
        con.execute("update meta.refresh set audited_at = $now", {"now": now})
    tests = [check for check in results.checks if check.unique_id.startswith("test.")]
    return AuditReport(rows=rows, count_checks=len(tests), warnings=explain_warnings(home, results))


def _check_identity(con: duckdb.DuckDBPyConnection, refresh_id: str, results: RunResults) -> None:
    try:
        found = con.execute("select refresh_id, invocation_id from meta.refresh").fetchall()
    except duckdb.Error as error:
        raise AuditFailed(f"The new warehouse does not say what it is: {error}") from None
    if found != [(refresh_id, results.invocation_id)]:
        raise AuditFailed(
            "The new warehouse and dbt's results are not those of this refresh: another one ran in "
            "between. Nothing was published; run `drip refresh` again."
        )


def _check_results(home: Path, results: RunResults) -> None:
    if results.failed:
        raise explain_failures(home, results)
    missing = read_expected_checks(home) - {check.unique_id for check in results.checks}
    if missing:
        names = ", ".join(sorted(unique_id.split(".")[2] for unique_id in missing))
        raise AuditFailed(f"Nothing was published: dbt did not run {names}. Build everything.")


def _read_every_relation(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Read every column of every row once: a view that leans on the ledger's copy fails here."""
    relations = con.execute(
        """
        select table_schema || '.' || table_name
        from information_schema.tables
        where table_catalog = current_database()
        order by 1
        """
    ).fetchall()
    rows = {}
    for (name,) in relations:
        try:
            # The hash makes DuckDB read all columns; its sum is thrown away.
            found = con.execute(
                "select count(*), bit_xor(hash(t)) from query_table($name) as t", {"name": name}
            ).fetchall()
        except duckdb.Error as error:
            raise AuditFailed(
                f"Nothing was published: {name} cannot be read without the ledger ({error})."
            ) from None
        rows[name] = found[0][0]
    return rows


def _check_definitions(rows: dict[str, int]) -> None:
    if rows["meta.definitions"] != 1:
        raise AuditFailed(
            "Nothing was published: the new warehouse does not say what its metrics mean. "
            "Run `drip refresh` again."
        )


def _check_row_counts(con: duckdb.DuckDBPyConnection) -> None:
    different = con.execute(_ROW_COUNTS.read_text(encoding="utf-8")).fetchall()
    if different:
        told = "; ".join(f"{table}: {here} for {there}" for table, there, here in different)
        raise AuditFailed(f"Nothing was published: marts differ from the ledger in rows ({told}).")
