from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.warehouse.paths import DBT_PROJECT, snapshot_path, snapshot_paths


def test_the_dbt_project_is_where_the_paths_say() -> None:
    assert (DBT_PROJECT / "dbt_project.yml").is_file()


@pytest.mark.parametrize(
    ("now", "timezone", "name"),
    [
        pytest.param(datetime(2026, 11, 21, tzinfo=UTC), "UTC", "2026-W47", id="week"),
        pytest.param(datetime(2027, 1, 3, 12, tzinfo=UTC), "UTC", "2026-W53", id="iso-year"),
        pytest.param(
            datetime(2026, 11, 16, 3, tzinfo=UTC), "America/New_York", "2026-W46", id="zone"
        ),
    ],
)
def test_a_snapshot_is_named_by_the_iso_week_of_the_workspace(
    now: datetime, timezone: str, name: str
) -> None:
    assert snapshot_path(Path("home"), now, timezone) == Path(f"home/snapshots/{name}.duckdb")


def test_weekly_copies_are_found_by_week_and_nothing_else_is(tmp_path: Path) -> None:
    assert snapshot_paths(tmp_path) == {}
    (tmp_path / "snapshots").mkdir()
    for name in ("2027-W01.duckdb", "2026-W53.duckdb", "2026-W52.duckdb.next", "old.duckdb"):
        (tmp_path / "snapshots" / name).touch()
    assert list(snapshot_paths(tmp_path)) == ["2026-W53", "2027-W01"]
