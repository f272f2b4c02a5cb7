"""A workspace as `drip init` makes it."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest


@pytest.fixture(scope="session")
def started_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that wants a started workspace leaves a copy for the others."""
    return tmp_path_factory.mktemp("started")


@pytest.fixture
def started(drip: Callable[..., Any], tmp_path: Path, started_once: Path) -> Path:
    """A workspace after its first tick."""
    if any(started_once.iterdir()):
        return copytree(started_once, tmp_path, dirs_exist_ok=True)
    assert drip("init", "--email", "ada@example.com", "--first-name", "Ada").code == 0
    assert drip("tick").code == 0
    copytree(tmp_path, started_once, dirs_exist_ok=True)
    return tmp_path
