import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from pipeline.settings import DripError
from pipeline.warehouse.read import (
    NothingPublished,
    QueryFailed,
    open_beside,
    open_warehouse,
    published_at,
    query,
)


def test_a_query_returns_rows_with_their_types(refreshed_home: Path) -> None:
    rows = query(
        refreshed_home, "select lead_id, created_at from marts.leads order by lead_id limit 1"
    )
    assert rows.rows() == [(1, datetime(2026, 1, 1, 12, tzinfo=UTC))]


def test_the_moment_of_the_facts_is_known(refreshed_home: Path, tmp_path: Path) -> None:
    assert published_at(refreshed_home) == datetime(2026, 3, 31, 12, tzinfo=UTC)
    assert published_at(tmp_path) is None


def test_before_the_first_refresh_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NothingPublished, match=r"Nothing is published yet .* Run `drip refresh`"):
        query(tmp_path, "select 1")


def test_a_missing_snapshot_is_named(refreshed_home: Path) -> None:
    with pytest.raises(NothingPublished, match="no snapshot '2020-W01'"):
        query(refreshed_home, "select 1", snapshot="2020-W01")


def test_a_week_stands_beside_the_latest_and_neither_can_be_written(
    refreshed_home: Path,
) -> None:
    with open_beside(refreshed_home, "2026-W14") as con:
        both = "select (select count(*) from past.marts.leads), (select count(*) from marts.leads)"
        assert con.execute(both).fetchall() == [(9, 9)]
        for catalog in ("past", "warehouse"):
            with pytest.raises(duckdb.Error):
                con.execute(f"delete from {catalog}.marts.leads")
        with pytest.raises(duckdb.Error):
            con.execute("select * from read_text('keys.json')")
    with pytest.raises(NothingPublished), open_beside(refreshed_home, "2020-W01"):
        pass


@pytest.mark.parametrize(
    "sql",
    [
        "delete from marts.leads",
        "create table marts.mine as select 1 as one",
        "attach 'ledger.duckdb' as ledger",
        "copy marts.leads to 'leads.csv'",
        "select * from read_text('keys.json')",
        "install httpfs",
        "set enable_external_access = true",
        "select nonsense",
        "select from from",
    ],
)
def test_a_query_can_only_read_the_warehouse(
    refreshed_home: Path, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(refreshed_home)
    with pytest.raises(QueryFailed):
        query(refreshed_home, sql)
    assert not (refreshed_home / "leads.csv").exists()


def test_a_reader_keeps_its_file_and_the_next_one_sees_the_new(
    refreshed_home: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(refreshed_home, home)
    newer = home / "warehouse.next.duckdb"
    shutil.copy(home / "warehouse.duckdb", newer)
    with duckdb.connect(str(newer)) as con:
        con.execute("update meta.refresh set refresh_id = 'newer'")
    with open_warehouse(home) as reader:
        before = reader.execute("select refresh_id from meta.refresh").fetchall()
        newer.replace(home / "warehouse.duckdb")
        assert query(home, "select refresh_id from meta.refresh").item() == "newer"
        assert reader.execute("select refresh_id from meta.refresh").fetchall() == before


def test_a_damaged_file_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "warehouse.duckdb").write_bytes(b"not a database" * 400)
    with pytest.raises(DripError, match=r"cannot be read: .* Run `drip refresh`"):
        query(tmp_path, "select 1")
