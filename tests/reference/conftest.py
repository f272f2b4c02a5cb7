"""A home that costs little: a copy of an empty one, in memory where the system has such a place."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.settings import Keys, create_keys

MEMORY = Path("/dev/shm")
# Fixed: holdouts and arms are drawn by hashes of the salt.
KEYS = Keys(bytes(range(32)), "whsec_" + "dGVz" * 8, "key-of-the-tests", "5a17" * 8)


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `empty`, a home without facts."""
    from pipeline.ledger.store import create_ledger

    base = MEMORY if MEMORY.is_dir() else tmp_path_factory.mktemp("reference")
    room = Path(tempfile.mkdtemp(prefix="driplab-", dir=base))
    create_keys(room / "empty", KEYS)
    create_ledger(room / "empty")
    yield room
    shutil.rmtree(room)
