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


def snapshot_path(home: Path, now: datetime, timezone: str) -> Path:
    """Return the weekly copy that `now` falls into, by ISO week of the workspace's zone."""
    return home / "snapshots" / f"{now.astimezone(ZoneInfo(timezone)):%G-W%V}.duckdb"
