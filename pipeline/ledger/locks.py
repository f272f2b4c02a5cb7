"""Locks between processes: one `flock` on a file of its own, holding the holder's pid.

Belongs here: taking, waiting, naming the holder. Does not: what is guarded (ledger, refresh,
dispatch). Not DuckDB's own lock: a process drops that one by closing any descriptor of the file
(feasibility.md A1), and it cannot be held across the steps of a refresh.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.settings import DripError


class LockBusy(DripError):
    """Another process holds the lock."""

    def __init__(self, path: Path, pid: int | None, waited_seconds: float) -> None:
        """Name the lock, its holder and how long was waited."""
        self.pid = pid
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{path} is held by {holder}; waited {waited_seconds:.1f} s. "
            f"Let it finish, or look at it with `ps -p {pid or '<pid>'}`."
        )


def read_holder(path: Path) -> int | None:
    """Return the pid that the lock file names, or None."""
    try:
        return int(path.read_text().strip() or 0) or None
    except (FileNotFoundError, ValueError):
        return None


@contextmanager
def hold_lock(path: Path, timeout: float = 10.0) -> Iterator[None]:
    """Hold the lock while the block runs; the system frees it at `kill -9`.

    Args:
        path: the lock file; created when missing, never deleted.
        timeout: seconds to wait; 0 tries once.

    Raises:
        LockBusy: somebody else still holds it after the timeout.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _wait(descriptor, path, timeout)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: Path, timeout: float) -> None:
    start, delay = time.monotonic(), 0.002
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = time.monotonic() - start
            if waited >= timeout:
                raise LockBusy(path, read_holder(path), waited) from None
            # Short at first: most holders are done within milliseconds. Then less often.
            time.sleep(min(delay, max(timeout - waited, 0.0)))
            delay = min(delay * 1.6, 0.05)
        else:
            return
