import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
SMALL_LEDGER = Path(__file__).parent.parent / "dbt" / "small_ledger.sql"


def _fill(home: Path) -> None:
    from pipeline.ledger.store import create_ledger, open_ledger

    create_ledger(home)
    with open_ledger(home) as con:
        for statement in duckdb.extract_statements(SMALL_LEDGER.read_text()):
            con.execute(statement)


@pytest.fixture(scope="session")
def refreshed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with nine leads, refreshed once. Tests only read it."""
    from pipeline.analysis.refresh import refresh
    from pipeline.sequences.model import Workspace
    from pipeline.settings import Settings

    home = tmp_path_factory.mktemp("refreshed") / "home"
    _fill(home)
    workspace = Workspace(name="small", timezone="America/New_York", senders={})
    refresh(home, Settings(home=home), NOW, workspace=workspace)
    return home


@pytest.fixture
def built_home(refreshed_home: Path, tmp_path: Path) -> Path:
    """The same workspace, as it was before its audit: built, not yet published."""
    home = tmp_path / "built"
    shutil.copytree(refreshed_home, home)
    (home / "warehouse.duckdb").rename(home / "warehouse.next.duckdb")
    with duckdb.connect(str(home / "warehouse.next.duckdb")) as con:
        con.execute("update meta.refresh set audited_at = null")
    shutil.rmtree(home / "snapshots")
    return home


@pytest.fixture
def refresh_id(built_home: Path) -> str:
    """Name the refresh that made the built warehouse."""
    with duckdb.connect(str(built_home / "warehouse.next.duckdb")) as con:
        return str(con.execute("select refresh_id from meta.refresh").fetchall()[0][0])


@pytest.fixture
def filled_home(tmp_path: Path) -> Path:
    """A workspace with nine leads in its ledger and nothing built."""
    home = tmp_path / "filled"
    _fill(home)
    return home
