from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.warehouse.paths import DBT_PROJECT, snapshot_path


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
