"""One holder at a time, named to whoever waits, and freed by the system when it dies."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.ledger.locks import LockBusy, hold_lock, read_holder

# Each child is a process of its own and starts in milliseconds.
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["pipeline.ledger.store"])


def hold_until_told(
    path: Path, is_held: multiprocessing.Event, may_end: multiprocessing.Event
) -> None:
    with hold_lock(path):
        is_held.set()
        may_end.wait(30)


def hold_for(path: Path, seconds: float, is_held: multiprocessing.Event) -> None:
    with hold_lock(path):
        is_held.set()
        time.sleep(seconds)


def count_up(lock: Path, counter: Path, times: int) -> None:
    for _ in range(times):
        with hold_lock(lock):
            counter.write_text(str(int(counter.read_text()) + 1))


@contextmanager
def another_process(path: Path) -> Iterator[multiprocessing.Process]:
    is_held, may_end = forks.Event(), forks.Event()
    child = forks.Process(target=hold_until_told, args=(path, is_held, may_end), daemon=True)
    child.start()
    assert is_held.wait(30)
    try:
        yield child
    finally:
        may_end.set()
        child.join(30)


def test_a_busy_lock_names_its_holder_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with another_process(path) as child:
        began = time.monotonic()
        with pytest.raises(LockBusy) as caught, hold_lock(path, timeout=0.2):
            raise AssertionError("two hold it")
        assert 0.2 <= time.monotonic() - began < 5
    assert caught.value.pid == child.pid
    assert f"{path} is held by process {child.pid}; waited 0.2 s." in str(caught.value)
    assert f"ps -p {child.pid}" in str(caught.value)


def test_without_a_timeout_it_tries_once(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with another_process(path):
        began = time.monotonic()
        with pytest.raises(LockBusy), hold_lock(path, timeout=0):
            raise AssertionError("two hold it")
        assert time.monotonic() - began < 1


def test_it_is_waited_for_and_then_held(tmp_path: Path) -> None:
    path, is_held = tmp_path / "a.lock", forks.Event()
    child = forks.Process(target=hold_for, args=(path, 0.3, is_held), daemon=True)
    child.start()
    assert is_held.wait(30)
    with hold_lock(path, timeout=30):
        assert read_holder(path) == os.getpid()
    child.join(30)
    assert child.exitcode == 0


def test_kill_9_frees_it(tmp_path: Path) -> None:
    path, is_held = tmp_path / "a.lock", forks.Event()
    child = forks.Process(target=hold_for, args=(path, 60, is_held), daemon=True)
    child.start()
    assert is_held.wait(30)
    child.kill()
    with hold_lock(path, timeout=30):
        assert read_holder(path) == os.getpid()
    child.join(30)


def test_an_error_inside_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with pytest.raises(ValueError, match="inside"), hold_lock(path):
        raise ValueError("inside")
    with hold_lock(path, timeout=0):
        pass


def test_reading_who_holds_it_does_not_drop_it(tmp_path: Path) -> None:
    # A POSIX lock would be gone once any descriptor of the file is closed in its process.
    path = tmp_path / "a.lock"
    with hold_lock(path):
        assert read_holder(path) == os.getpid()
        with pytest.raises(LockBusy), hold_lock(path, timeout=0):
            raise AssertionError("two hold it")


def test_four_processes_count_without_losing_one(tmp_path: Path) -> None:
    lock, counter = tmp_path / "a.lock", tmp_path / "count"
    counter.write_text("0")
    children = [
        forks.Process(target=count_up, args=(lock, counter, 25), daemon=True) for _ in range(4)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert counter.read_text() == "100"


@pytest.mark.parametrize("text", [None, "", "\n", "nobody\n", "0\n"])
def test_a_lock_file_without_a_pid_has_no_known_holder(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "a.lock"
    if text is not None:
        path.write_text(text)
    assert read_holder(path) is None


def test_an_unknown_holder_is_told_as_such(tmp_path: Path) -> None:
    assert "is held by another process; waited 1.5 s." in str(LockBusy(tmp_path, None, 1.5))


def test_its_folder_is_made(tmp_path: Path) -> None:
    with hold_lock(tmp_path / "new" / "home" / "a.lock"):
        assert read_holder(tmp_path / "new" / "home" / "a.lock") == os.getpid()
