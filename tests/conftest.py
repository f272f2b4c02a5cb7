"""What every test may ask for: a fresh workspace, its keys, real data, a clean environment."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from pipeline.settings import Keys, create_keys

ROOT = Path(__file__).resolve().parent.parent

# Read once, before the fixture below clears every DRIP_… variable.
DATA = Path(os.environ.get("DRIP_TEST_DATA") or ROOT.parent / "shared" / "data")
IN_CI = bool(os.environ.get("CI"))

# Small homes by the thousand: in memory where there is room, since no test measures a disk.
MEMORY = Path("/dev/shm")  # noqa: S108
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# Children of the tests (dbt, Dagster) inherit these.
for silent in ("DO_NOT_TRACK", "DAGSTER_DISABLE_TELEMETRY"):
    os.environ[silent] = "1"
os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"

# Nearly the same examples in every run, so that a red test is red for everybody (constants of
# imported modules have a say too). `--hypothesis-profile search` looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile(
    "deep", hypothesis.settings.get_profile("same"), max_examples=500
)
hypothesis.settings.register_profile("search", deadline=None, max_examples=2000, print_blob=True)
hypothesis.settings.load_profile("same")

# Fixed, so that draws by hash (arms, holdouts, tokens) are the same in every run.
TEST_KEYS = Keys(
    token_key=bytes(range(32)),
    webhook_secret="whsec_" + "dGVz" * 8,
    api_key="key-of-the-tests",
    salt="5a17" * 8,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--crashes 500` looks longer for a boundary at which a crash shows."""
    parser.addoption("--crashes", type=int, default=100, help="crashes of the long crash test")
    parser.addoption("--calibrated-on", help="write docs/calibration.md as of this day")
    parser.addoption("--calibration-times", type=int, default=1, help="so many times the draws")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("DRIP_"):
            monkeypatch.delenv(name)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """The known keys of the workspace that `home` makes."""
    return create_keys(tmp_path / "home", TEST_KEYS)


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace to copy: its tables take thirty times as long as a copy of them."""
    from pipeline.ledger.store import create_ledger

    path = tmp_path_factory.mktemp("empty") / "home"
    create_keys(path, TEST_KEYS)
    create_ledger(path)
    return path


@pytest.fixture
def home(tmp_path: Path, keys: Keys, empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh workspace with known keys and an empty ledger; DRIP_HOME points to it."""
    path = tmp_path / "home"
    shutil.copytree(empty_home, path, dirs_exist_ok=True)
    monkeypatch.setenv("DRIP_HOME", str(path))
    return path


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Find a folder of real data by name; without it a test skips, and in CI it fails."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.is_dir():
            reason = f"{path} is absent: set DRIP_TEST_DATA to the folder that holds {name}"
            if IN_CI:
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return find


@dataclass(frozen=True)
class Told:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Read the one JSON document that it printed."""
        return json.loads(self.out)


@pytest.fixture
def drip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Told]:
    """Run the real `drip` command in this process, on `home` and `sequences` of this test."""
    from pipeline.cli import main

    monkeypatch.setenv("DRIP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DRIP_SEQUENCES", str(tmp_path / "sequences"))

    def run(*arguments: object) -> Told:
        monkeypatch.setattr(sys, "argv", ["drip", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Told(int(ended.value.code or 0), *capsys.readouterr())

    return run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest file: begun last, it would leave the other worker without work.

    xdist would begin with the files of many tests, which are the quick ones.
    """
    items.sort(key=lambda item: item.path.parent.name != "reference")
