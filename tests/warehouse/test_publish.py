from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from pipeline.settings import DripError
from pipeline.warehouse.audit import audit_warehouse
from pipeline.warehouse.publish import publish_warehouse
from pipeline.warehouse.read import query
from pipeline.warehouse.results import AuditFailed

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


def test_an_audited_file_is_published_in_one_piece(built_home: Path, refresh_id: str) -> None:
    audit_warehouse(built_home, refresh_id, NOW)
    published = publish_warehouse(built_home, NOW, refresh_id, timezone="UTC")
    assert published == built_home / "warehouse.duckdb"
    assert not list(built_home.glob("*.wal"))
    assert not list(built_home.glob("warehouse.next*"))
    assert query(built_home, "select count(*) from marts.leads").item() == 9


def test_the_weeks_copy_answers_to_the_same_names(built_home: Path, refresh_id: str) -> None:
    audit_warehouse(built_home, refresh_id, NOW)
    publish_warehouse(built_home, NOW, refresh_id, timezone="UTC")
    sql = "select refresh_id from warehouse.meta.refresh"
    assert query(built_home, sql, snapshot="2026-W14").item() == refresh_id
    assert [path.name for path in (built_home / "snapshots").iterdir()] == ["2026-W14.duckdb"]


def test_what_was_not_audited_is_not_published(built_home: Path, refresh_id: str) -> None:
    with pytest.raises(AuditFailed, match="was not audited"):
        publish_warehouse(built_home, NOW, refresh_id, timezone="UTC")
    assert not (built_home / "warehouse.duckdb").exists()


def test_what_another_refresh_audited_is_not_published(built_home: Path, refresh_id: str) -> None:
    audit_warehouse(built_home, refresh_id, NOW)
    with pytest.raises(AuditFailed, match="was not audited by this refresh"):
        publish_warehouse(built_home, NOW, "other", timezone="UTC")


def test_without_a_file_there_is_nothing_to_publish(tmp_path: Path) -> None:
    with pytest.raises(AuditFailed, match="does not exist"):
        publish_warehouse(tmp_path, NOW, "r1", timezone="UTC")


def test_a_snapshot_that_cannot_be_written_is_told_and_the_refresh_stands(
    built_home: Path, refresh_id: str
) -> None:
    audit_warehouse(built_home, refresh_id, NOW)
    (built_home / "snapshots").write_text("in the way")
    with pytest.raises(DripError, match=r"is published, but the week's copy .*2026-W14"):
        publish_warehouse(built_home, NOW, refresh_id, timezone="UTC")
    with duckdb.connect(str(built_home / "warehouse.duckdb"), read_only=True) as con:
        assert con.execute("select refresh_id from meta.refresh").fetchall() == [(refresh_id,)]
