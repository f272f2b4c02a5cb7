import os
from pathlib import Path

import pytest

from pipeline.ledger.locks import LockBusy
from pipeline.warehouse.lock import hold_refresh_lock


def test_a_second_refresh_is_told_who_runs_the_first(tmp_path: Path) -> None:
    with (
        hold_refresh_lock(tmp_path),
        pytest.raises(LockBusy, match=f"refresh.lock is held by process {os.getpid()}"),
        hold_refresh_lock(tmp_path),
    ):
        pass


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_refresh_lock(tmp_path):
            pass
