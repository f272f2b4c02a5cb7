from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
SMALL_LEDGER = Path(__file__).with_name("small_ledger.sql")


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the nine leads of small_ledger.sql, refreshed once."""
    from pipeline.analysis.refresh import refresh
    from pipeline.ledger.store import create_ledger, open_ledger
    from pipeline.sequences.model import Workspace
    from pipeline.settings import Settings

    home = tmp_path_factory.mktemp("small") / "home"
    create_ledger(home)
    with open_ledger(home) as con:
        for statement in duckdb.extract_statements(SMALL_LEDGER.read_text()):
            con.execute(statement)
    workspace = Workspace(name="small", timezone="America/New_York", senders={})
    refresh(home, Settings(home=home), NOW, workspace=workspace)
    return home


@pytest.fixture(scope="session")
def ask(small_home: Path) -> Callable[[str], list[tuple[object, ...]]]:
    """Run a query on the published warehouse of the nine leads."""
    from pipeline.warehouse.read import query

    def run(sql: str) -> list[tuple[object, ...]]:
        rows: pl.DataFrame = query(small_home, sql)
        return rows.rows()

    return run
