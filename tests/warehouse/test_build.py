import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pipeline.ledger.store import open_ledger
from pipeline.sequences.model import Workspace
from pipeline.settings import DripError, Settings
from pipeline.warehouse.build import build_warehouse, discard_next, start_next
from pipeline.warehouse.copy import copy_facts
from pipeline.warehouse.results import AuditFailed

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
WORKSPACE = Workspace.model_validate(
    {
        "name": "small",
        "timezone": "UTC",
        "currency": "EUR",
        "rates": {"USD": {"2026-03-01": 0.92, "2026-03-15": 0.9}},
        "senders": {},
        "attribution": "linear",
    }
)


def test_the_file_says_of_which_moment_its_facts_are(filled_home: Path) -> None:
    copy_facts(filled_home)
    start_next(filled_home, NOW, "r1", WORKSPACE)
    with duckdb.connect(str(filled_home / "warehouse.next.duckdb")) as con:
        con.execute("set TimeZone = 'UTC'")
        assert con.execute(
            "select refresh_id, refreshed_at, timezone, currency, attribution, audited_at "
            "from meta.refresh"
        ).fetchall() == [("r1", NOW, "UTC", "EUR", "linear", None)]
        assert con.execute(
            "select count_rows from meta.ledger_rows where ledger_table = 'leads'"
        ).fetchall() == [(9,)]
        assert con.execute("select * from meta.rates order by since").fetchall() == [
            ("USD", date(2026, 3, 1), Decimal("0.92")),
            ("USD", date(2026, 3, 15), Decimal("0.9")),
        ]


def test_without_a_copy_there_is_nothing_to_build_from(filled_home: Path) -> None:
    with pytest.raises(DripError, match="Run `drip refresh`"):
        start_next(filled_home, NOW, "r1", WORKSPACE)


def test_what_a_killed_refresh_left_behind_is_cleared(filled_home: Path) -> None:
    for name in ("warehouse.next.duckdb", "warehouse.next.duckdb.wal"):
        (filled_home / name).write_bytes(b"half a file")
    copy_facts(filled_home)
    start_next(filled_home, NOW, "r1", WORKSPACE)
    discard_next(filled_home)
    assert not list(filled_home.glob("warehouse.next*"))


def test_a_failing_test_names_itself_and_shows_its_rows(filled_home: Path) -> None:
    with open_ledger(filled_home) as con:
        con.execute("insert into leads select * from leads where lead_id = 7")
    copy_facts(filled_home)
    with pytest.raises(AuditFailed) as failed:
        build_warehouse(filled_home, Settings(home=filled_home), NOW, "r1", WORKSPACE)
    told = str(failed.value)
    assert "the check unique_leads_lead_id failed (Got 1 result" in told
    assert "unique_field=7, n_records=2" in told
    assert "Traceback" not in told
    # dbt ran in this process and holds nothing any more, so that the file can be replaced.
    other = (
        "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('create table free as select 1')"
    )
    path = str(filled_home / "warehouse.next.duckdb")
    subprocess.run([sys.executable, "-c", other, path], check=True)
