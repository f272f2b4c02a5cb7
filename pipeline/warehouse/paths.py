"""Where the warehouse's files stand inside a home, and where the dbt project stands.

Belongs here: paths. Does not: opening, building or replacing what they name (the other modules).
"""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

DBT_PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"


def warehouse_path(home: Path) -> Path:
    """Return the published file: replaced whole by a refresh, never written to."""
    return home / "warehouse.duckdb"


def next_path(home: Path) -> Path:
    """Return the file that a refresh builds; only who holds refresh.lock may touch it."""
    return home / "warehouse.next.duckdb"


def ledger_copy_path(home: Path) -> Path:
    """Return the copy of the ledger that a refresh reads; it holds personal data."""
    return home / "dbt" / "ledger.duckdb"


def dbt_target_path(home: Path) -> Path:
    """Return where dbt keeps its parse, its compiled SQL and the results of its latest run."""
    return home / "dbt" / "target"


def name_week(now: datetime, timezone: str) -> str:
    """Return the ISO week of a moment in the workspace's zone.

    >>> from datetime import UTC
    >>> name_week(datetime(2026, 3, 29, 23, 30, tzinfo=UTC), "Europe/London")
    '2026-W14'
    """
    return f"{now.astimezone(ZoneInfo(timezone)):%G-W%V}"


def snapshot_paths(home: Path) -> dict[str, Path]:
    """Return the weekly copies that there are, by ISO week, the oldest first."""
    return {path.stem: path for path in sorted((home / "snapshots").glob("*-W*.duckdb"))}


def snapshot_path(home: Path, now: datetime, timezone: str) -> Path:
    """Return the weekly copy that `now` falls into."""
    return home / "snapshots" / f"{name_week(now, timezone)}.duckdb"
