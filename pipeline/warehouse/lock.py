"""The lock of a refresh: one at a time per home.

Belongs here: taking refresh.lock. Does not: how locks work (`ledger.locks`), what a refresh does
(`analysis.refresh`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.ledger.locks import hold_lock


@contextmanager
def hold_refresh_lock(home: Path, timeout: float = 0.0) -> Iterator[None]:
    """Hold the home's refresh.lock while the block runs; the system frees it at `kill -9`.

    Raises:
        LockBusy: another refresh runs; the message names its pid.
    """
    with hold_lock(home / "refresh.lock", timeout):
        yield
