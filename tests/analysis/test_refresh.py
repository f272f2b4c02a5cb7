import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipeline.analysis.refresh import STEPS, RefreshReport, record_looks, refresh
from pipeline.ledger.locks import LockBusy
from pipeline.ledger.store import create_ledger, open_ledger
from pipeline.sequences.model import Workspace
from pipeline.settings import Settings
from pipeline.warehouse.lock import hold_refresh_lock
from pipeline.warehouse.read import open_warehouse, published_at, query
from pipeline.warehouse.results import AuditFailed

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
SMALL_LEDGER = Path(__file__).parent.parent / "dbt" / "small_ledger.sql"
WORKSPACE = Workspace(name="small", timezone="America/New_York", senders={})


def run(home: Path, now: datetime, told: list[str] | None = None) -> RefreshReport:
    steps: list[str] = [] if told is None else told
    return refresh(home, Settings(home=home), now, workspace=WORKSPACE, progress=steps.append)


def ledger(home: Path, sql: str) -> list[tuple[object, ...]]:
    with open_ledger(home) as con:
        return con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("refresh") / "home"
    create_ledger(home)
    with open_ledger(home) as con:
        for statement in duckdb.extract_statements(SMALL_LEDGER.read_text()):
            con.execute(statement)
    run(home, NOW)
    return home


@pytest.fixture
def broken_facts(small_home: Path) -> Iterator[None]:
    """A lead that is in the ledger twice, for the length of a test."""
    ledger(small_home, "insert into leads select * from leads where lead_id = 7")
    yield
    ledger(
        small_home,
        "delete from leads where lead_id = 7 and rowid = (select max(rowid) from leads "
        "where lead_id = 7)",
    )


def test_a_refresh_publishes_and_reports(small_home: Path) -> None:
    told: list[str] = []
    later = NOW + timedelta(minutes=15)
    with open_warehouse(small_home) as reader:
        report = run(small_home, later, told)
        # Who had the old file open reads on in it.
        assert reader.execute("select refreshed_at from meta.refresh").fetchall() == [(NOW,)]
    assert tuple(told) == STEPS == tuple(report.seconds)
    assert report.rows["marts.leads"] == 9
    assert published_at(small_home) == later == report.refreshed_at
    assert not list(small_home.glob("warehouse.next*"))
    # The first refresh took the look of the day.
    assert report.count_looks == 0
    jobs = ledger(small_home, "select job, started_at from jobs order by started_at desc limit 1")
    assert jobs == [("refresh", later)]


def test_looks_are_taken_once_a_day_that_begins_at_six(small_home: Path) -> None:
    day = NOW + timedelta(days=3)
    early = day.replace(hour=9)  # 05:00 in New York: still yesterday's look
    assert run(small_home, early).count_looks == 2
    assert run(small_home, day).count_looks == 2
    assert run(small_home, day + timedelta(hours=1)).count_looks == 0
    assert ledger(
        small_home, "select distinct looked_on::varchar from looks order by 1 desc limit 2"
    ) == [("2026-04-03",), ("2026-04-02",)]


@pytest.mark.usefixtures("broken_facts")
def test_a_failed_check_leaves_the_published_file_and_shows_the_rows(small_home: Path) -> None:
    before = (small_home / "warehouse.duckdb").stat().st_ino
    with pytest.raises(AuditFailed, match=r"unique_leads_lead_id(.|\n)*unique_field=7"):
        run(small_home, NOW + timedelta(days=10))
    assert (small_home / "warehouse.duckdb").stat().st_ino == before
    assert not list(small_home.glob("warehouse.next*"))
    assert not (small_home / "dbt" / "ledger.duckdb").exists()


@pytest.mark.parametrize(("step", "seconds"), [("build", 2.0), ("publish", 0.0)])
def test_a_killed_refresh_leaves_the_published_file_and_blocks_nobody(
    small_home: Path, step: str, seconds: float
) -> None:
    before = (small_home / "warehouse.duckdb").stat().st_ino
    child = f"""
import os, signal, threading
from datetime import datetime
from pathlib import Path
from pipeline.analysis.refresh import refresh
from pipeline.sequences.model import Workspace
from pipeline.settings import Settings
home = Path({str(small_home)!r})
workspace = Workspace(name="small", timezone="America/New_York", senders={{}})
def progress(step):
    if step == {step!r}:
        kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
        threading.Timer({seconds}, kill).start() if {seconds} else kill()
refresh(home, Settings(home=home), datetime.fromisoformat({NOW.isoformat()!r}),
    workspace=workspace, progress=progress)
"""
    done = subprocess.run([sys.executable, "-c", child], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert (small_home / "warehouse.duckdb").stat().st_ino == before
    assert query(small_home, "select count(*) from marts.leads").item() == 9
    with hold_refresh_lock(small_home):
        pass


def test_after_a_kill_the_next_refresh_starts_from_nothing(small_home: Path) -> None:
    (small_home / "warehouse.next.duckdb").write_bytes(b"half a file")
    (small_home / "warehouse.next.duckdb.wal").write_bytes(b"half a log")
    later = NOW + timedelta(days=4)
    assert run(small_home, later).refreshed_at == published_at(small_home)


def test_a_second_refresh_at_once_names_the_first(small_home: Path) -> None:
    with (
        hold_refresh_lock(small_home),
        pytest.raises(LockBusy, match=f"held by process {os.getpid()}"),
    ):
        run(small_home, NOW)


DECISIONS = """
create schema analysis;
create table analysis.experiment_decisions as
select 'auto' as experiment_id, date '{day}' as looked_on, '{state}' as state, 'b' as winner,
    'why' as reason, json('{{"has_full_week": {full}, "stopped": ["c"]}}') as evidence, true as is_auto
union all
select 'by_hand', date '{day}', '{state}', 'b', 'why', json('{{"stopped": ["c"]}}'), false;
"""


def publish_decisions(home: Path, day: str, state: str, *, full: bool) -> None:
    (home / "warehouse.duckdb").unlink(missing_ok=True)
    with duckdb.connect(str(home / "warehouse.duckdb")) as con:
        con.execute(DECISIONS.format(day=day, state=state, full=str(full).lower()))


def test_a_winner_is_applied_once_after_a_full_week_where_the_file_says_auto(home: Path) -> None:
    days = ((1, "running", True), (2, "winner", False), (3, "winner", True), (4, "winner", True))
    for day, state, full in days:
        publish_decisions(home, f"2026-04-0{day}", state, full=full)
        now = datetime(2026, 4, day, 12, tzinfo=UTC)
        assert record_looks(home, now) == 2
        assert record_looks(home, now + timedelta(hours=1)) == 0
    assert ledger(
        home,
        "select experiment_id, looked_on::varchar, applied_at is not null from looks order by all",
    ) == [
        ("auto", "2026-04-01", False),
        ("auto", "2026-04-02", False),
        ("auto", "2026-04-03", True),
        ("auto", "2026-04-04", False),
        ("by_hand", "2026-04-01", False),
        ("by_hand", "2026-04-02", False),
        ("by_hand", "2026-04-03", False),
        ("by_hand", "2026-04-04", False),
    ]
    # Harm waits for nothing, and by hand it is a person who acts.
    assert ledger(home, "select distinct experiment_id, stopped from looks order by all") == [
        ("auto", ["c"]),
        ("by_hand", None),
    ]
