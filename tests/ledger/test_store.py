"""The ledger among processes: nothing lost, nothing half, one holder, damage told plainly."""

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.ledger.locks import LockBusy
from pipeline.ledger.store import (
    SCHEMA_VERSION,
    LedgerBroken,
    LedgerBusy,
    copy_ledger,
    create_ledger,
    ledger_path,
    open_ledger,
    transaction,
)
from pipeline.settings import DripError, load_keys

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["pipeline.ledger.store"])

INSERT = "insert into watermarks values (?, 'f', ?)"


def rows(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with open_ledger(home, read_only=True) as con:
        return con.execute(sql).fetchall()


def write_often(home: Path, name: str, times: int) -> None:
    for number in range(times):
        with open_ledger(home, timeout=60) as con, transaction(con):
            con.execute(INSERT, [name, number])
            con.execute("update watermarks set change_no = change_no where name = ?", [name])


def write_and_hang(home: Path, is_written: multiprocessing.Event) -> None:
    with open_ledger(home) as con, transaction(con):
        con.execute(INSERT, ["half", 1])
        is_written.set()
        time.sleep(60)


def hold_open(home: Path, is_held: multiprocessing.Event, may_end: multiprocessing.Event) -> None:
    with open_ledger(home) as con, transaction(con):
        con.execute(INSERT, ["held", 1])
        is_held.set()
        may_end.wait(60)


def hold_as_stranger(
    home: Path, is_held: multiprocessing.Event, may_end: multiprocessing.Event
) -> None:
    """Open the file as the DuckDB shell does, knowing nothing of our lock."""
    with duckdb.connect(str(ledger_path(home))):
        is_held.set()
        may_end.wait(60)


def wait_for_ledger(home: Path, is_waiting: multiprocessing.Event) -> None:
    is_waiting.set()
    with open_ledger(home, timeout=60) as con, transaction(con):
        con.execute(INSERT, ["waited", 1])


@contextmanager
def held_by_another(
    home: Path, how: Callable[..., None] = hold_open
) -> Iterator[tuple[multiprocessing.Process, multiprocessing.Event]]:
    is_held, may_end = forks.Event(), forks.Event()
    child = forks.Process(target=how, args=(home, is_held, may_end), daemon=True)
    child.start()
    assert is_held.wait(30)
    try:
        yield child, may_end
    finally:
        may_end.set()
        child.join(30)


# Processes --------------------------------------------------------------------------------------


def test_four_processes_write_and_every_transaction_is_there(home: Path) -> None:
    names = ["a", "b", "c", "d"]
    children = [
        forks.Process(target=write_often, args=(home, name, 25), daemon=True) for name in names
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(100)
        assert child.exitcode == 0
    found = rows(home, "select name, change_no from watermarks order by all")
    assert found == [(name, number) for name in names for number in range(25)]


def test_kill_9_in_a_transaction_leaves_nothing_of_it(home: Path) -> None:
    write_often(home, "whole", 2)
    is_written = forks.Event()
    child = forks.Process(target=write_and_hang, args=(home, is_written), daemon=True)
    child.start()
    assert is_written.wait(30)
    child.kill()
    child.join(30)
    write_often(home, "after", 1)
    assert rows(home, "select name from watermarks order by all") == [
        ("after",), ("whole",), ("whole",),
    ]  # fmt: skip


def test_a_busy_ledger_is_waited_for_and_then_its_holder_is_named(home: Path) -> None:
    with held_by_another(home) as (child, _):
        with pytest.raises(LockBusy) as caught, open_ledger(home, timeout=0.2):
            raise AssertionError("two hold it")
        assert caught.value.pid == child.pid
    assert rows(home, "select name from watermarks") == [("held",)]


def test_who_opened_the_file_without_our_lock_is_waited_for_and_named(home: Path) -> None:
    with held_by_another(home, hold_as_stranger) as (child, may_end):
        began = time.monotonic()
        with pytest.raises(LedgerBusy) as caught, open_ledger(home, timeout=0.3):
            raise AssertionError("two hold it")
        assert time.monotonic() - began >= 0.3
        assert f"{ledger_path(home)} is held by process {child.pid}" in str(caught.value)
        may_end.set()
        with open_ledger(home, timeout=30) as con:
            con.execute(INSERT, ["mine", 1])


def test_our_lock_outlives_duckdbs_own(home: Path) -> None:
    # Closing any descriptor of the file drops every POSIX lock that this process has on it.
    with open_ledger(home) as con, transaction(con):
        con.execute(INSERT, ["first", 1])
        assert ledger_path(home).read_bytes()
        is_waiting = forks.Event()
        child = forks.Process(target=wait_for_ledger, args=(home, is_waiting), daemon=True)
        child.start()
        assert is_waiting.wait(30)
        child.join(0.5)
        assert child.exitcode is None, "the other process came in"
        con.execute(INSERT, ["second", 1])
    child.join(30)
    assert child.exitcode == 0
    assert rows(home, "select name from watermarks order by all") == [
        ("first",), ("second",), ("waited",),
    ]  # fmt: skip


# Copies -----------------------------------------------------------------------------------------


def test_a_copy_is_whole_while_others_write_and_wait(home: Path, tmp_path: Path) -> None:
    child = forks.Process(target=write_often, args=(home, "busy", 25), daemon=True)
    child.start()
    counts = []
    for number in range(3):
        copy = tmp_path / f"copy{number}.duckdb"
        copy_ledger(home, copy)
        with duckdb.connect(str(copy), read_only=True) as con:
            counts.append(con.execute("select count(*) from watermarks").fetchall()[0][0])
    child.join(60)
    assert child.exitcode == 0
    assert counts == sorted(counts)
    assert rows(home, "select count(*) from watermarks") == [(25,)]


def test_a_copy_holds_what_was_committed_and_replaces_an_older_one(
    home: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.duckdb"
    copy.write_text("an older one")
    write_often(home, "one", 3)
    copy_ledger(home, copy)
    with duckdb.connect(str(copy), read_only=True) as con:
        assert con.execute("select count(*) from watermarks").fetchall() == [(3,)]


def test_a_copy_that_cannot_be_made_says_why_and_leaves_nothing(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "absent" / "copy.duckdb"
    with pytest.raises(DripError, match=r"The ledger could not be copied: .*absent"):
        copy_ledger(home, target)
    assert not target.exists()


# Creating, opening ------------------------------------------------------------------------------


def test_creating_twice_keeps_what_is_there(home: Path) -> None:
    write_often(home, "kept", 1)
    keys = load_keys(home)
    create_ledger(home)
    assert load_keys(home) == keys
    assert rows(home, "select name from watermarks") == [("kept",)]


def test_a_new_ledger_has_its_folders_its_salt_and_private_keys(home: Path) -> None:
    assert {path.name for path in home.iterdir() if path.is_dir()} == {
        "landing", "reports", "snapshots",
    }  # fmt: skip
    assert (home / "keys.json").stat().st_mode & 0o777 == 0o600
    assert rows(home, "select key, value from meta order by key") == [
        ("id_salt", load_keys(home).salt),
        ("schema_version", SCHEMA_VERSION),
    ]


def test_a_creation_that_was_killed_is_made_good(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "ledger.fresh").write_bytes(b"half a file")
    create_ledger(home)
    assert rows(home, "select count(*) from leads") == [(0,)]
    assert not (home / "ledger.fresh").exists()


def test_every_moment_in_the_ledger_has_its_zone(home: Path) -> None:
    kinds = rows(
        home,
        "select distinct data_type from duckdb_columns() where column_name like '%\\_at' escape '\\'",
    )
    assert kinds == [("TIMESTAMP WITH TIME ZONE",)]


def test_times_are_utc_whatever_the_machine_says(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert rows(home, "select current_setting('TimeZone')") == [("UTC",)]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_read_only_ledger_takes_no_writes(home: Path) -> None:
    with open_ledger(home, read_only=True) as con, pytest.raises(duckdb.Error, match="read-only"):
        con.execute(INSERT, ["no", 1])


def test_an_error_rolls_everything_back_and_is_told_as_it_was(home: Path) -> None:
    def fail_in_the_middle() -> None:
        with open_ledger(home) as con, transaction(con):
            con.execute(INSERT, ["half", 1])
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        fail_in_the_middle()
    assert rows(home, "select count(*) from watermarks") == [(0,)]


def test_a_mistake_in_sql_stays_a_mistake_in_sql(home: Path) -> None:
    with pytest.raises(duckdb.CatalogException, match="no_such_table"), open_ledger(home) as con:
        con.execute("select * from no_such_table")


# What is broken ---------------------------------------------------------------------------------


def test_a_missing_ledger_says_how_to_make_one(tmp_path: Path) -> None:
    with (
        pytest.raises(LedgerBroken, match=r"does not exist\. Run `drip init`"),
        open_ledger(tmp_path),
    ):
        pass


@pytest.mark.parametrize("keep", [0, 100, 4096, 12288, 300_000])
def test_a_file_that_was_cut_off_is_told_as_damaged(home: Path, keep: int) -> None:
    path = ledger_path(home)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(LedgerBroken, match=r"is damaged \(.*\). Move it away"), open_ledger(home):
        pass


@pytest.mark.parametrize("offset", [0, 100, 13_000])
def test_a_file_that_holds_something_else_is_told_as_damaged(home: Path, offset: int) -> None:
    path = ledger_path(home)
    content = bytearray(path.read_bytes())
    content[offset : offset + 50] = b"x" * 50
    path.write_bytes(content)
    with pytest.raises(LedgerBroken, match=r"is damaged \(.*\). Move it away"), open_ledger(home):
        pass


def test_damage_that_only_a_query_meets_is_told_as_damage(home: Path) -> None:
    with open_ledger(home) as con:
        con.execute(
            "insert into watermarks select 'w' || hash(i), 'f', hash(i) // 4 "
            "from generate_series(1, 100000) as t (i)"
        )
        con.execute("checkpoint")
    path = ledger_path(home)
    content = bytearray(path.read_bytes())
    for offset in range(len(content) // 2, len(content), 4096):
        content[offset : offset + 64] = b"x" * 64
    path.write_bytes(content)
    with pytest.raises(LedgerBroken, match="is damaged"):
        rows(home, "select sum(change_no), max(name), max(fingerprint) from watermarks")


def test_a_file_that_was_cut_off_at_its_end_is_found_before_any_query(home: Path) -> None:
    for _ in range(3):
        with open_ledger(home) as con, transaction(con):
            con.execute(
                "insert into watermarks select 'w', 'f', hash(i) // 4 "
                "from generate_series(1, 200000) as t (i)"
            )
    path = ledger_path(home)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with (
        pytest.raises(LedgerBroken, match=r"is damaged \(it has [\d,]+ bytes of [\d,]+\)"),
        open_ledger(home),
    ):
        pass


def test_a_file_that_shrank_after_a_deletion_is_whole(home: Path) -> None:
    for sql in (
        "insert into watermarks select 'w', 'f', hash(i) // 4 from range(300000) as t (i)",
        "delete from watermarks",
        "insert into watermarks select 'w', 'f', i from range(1000) as t (i)",
    ):
        with open_ledger(home) as con:
            con.execute(sql)
            con.execute("checkpoint")
        assert rows(home, "select count(*) from leads") == [(0,)]


def test_another_duckdb_file_is_no_ledger(home: Path) -> None:
    path = ledger_path(home)
    path.unlink()
    with duckdb.connect(str(path)) as con:
        con.execute("create table other (i integer)")
    with pytest.raises(LedgerBroken, match="no ledger: it has no table `meta`"), open_ledger(home):
        pass


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("update meta set value = '99' where key = 'schema_version'", "99"),
        ("delete from meta", "none"),
    ],
)
def test_another_schema_is_not_touched(home: Path, change: str, found: str) -> None:
    with open_ledger(home) as con:
        con.execute(change)
    with (
        pytest.raises(
            LedgerBroken, match=f"has schema {found}, this version reads {SCHEMA_VERSION}"
        ),
        open_ledger(home),
    ):
        pass


FULL_DISK = """
import resource, sys
from pathlib import Path
from pipeline.ledger.store import LedgerFull, open_ledger, transaction

home = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
try:
    with open_ledger(home) as con, transaction(con):
        con.execute("insert into watermarks select i::varchar, 'f', i from range(20000) as t (i)")
except LedgerFull as error:
    print(error)
"""


def test_on_a_full_disk_a_transaction_is_undone_and_can_be_repeated(home: Path) -> None:
    write_often(home, "before", 1)
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL_DISK, str(home)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "ledger.duckdb cannot be written" in child.stdout
    assert "free space on the disk, then run it again" in child.stdout
    write_often(home, "after", 1)
    assert rows(home, "select name from watermarks order by all") == [("after",), ("before",)]
