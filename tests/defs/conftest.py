"""A workspace to tick and refresh, and dbt's manifest, parsed once for all."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipeline.settings import Settings, load_settings, utc_now

ROOT = Path(__file__).resolve().parents[2]


class Clock:
    """The real clock, moved forward by a test: files are as old as they are."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.offset

    def sleep(self, seconds: float) -> None:
        self.offset += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """A clock that only a test moves ahead."""
    return Clock()


@pytest.fixture
def settings(home: Path, tmp_path: Path, clock: Clock) -> Settings:
    """A workspace as `drip init` leaves it: shipped sequences, one lead."""
    from pipeline.engine.starter import create_workspace

    settings = load_settings(home=home, sequences=tmp_path / "sequences")
    create_workspace(settings, email="ann@example.com", first_name="Ann", now=clock())
    append_lead(settings, "ann@example.com", clock())
    return settings


def append_lead(settings: Settings, email: str, now: datetime) -> None:
    """Land a lead."""
    from pipeline.inbound.landing import append_lines, landing_line, random_id

    lead = {"email": email, "source": "MANUAL"}
    line = landing_line(line_id=random_id(), received_at=now, source="operator", leads=[lead])
    append_lines(settings.home, "operator", [line], now)


@pytest.fixture
def land(settings: Settings, clock: Clock) -> Callable[[str], None]:
    """Lands a lead by address."""
    return lambda email: append_lead(settings, email, clock())


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Dagster's records, in memory."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dbt's manifest, parsed once for all workers and again only when the project has changed."""
    from pipeline.defs.manifest import prepare_manifest
    from pipeline.ledger.locks import hold_lock

    place = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    home = tmp_path_factory.getbasetemp().parent / f"manifest-{place}"
    home.mkdir(exist_ok=True)
    with hold_lock(home / "parse.lock", timeout=120):
        return prepare_manifest(load_settings(home=home))
