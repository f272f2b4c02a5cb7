import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.defs.ticking import (
    AHEAD,
    BACK_OFF,
    LONGEST,
    ROUND,
    SOON,
    LastTick,
    TickRun,
    reason_to_tick,
    tick_while_due,
)
from pipeline.engine.tick import TickReport

NOW = datetime(2026, 1, 5, 15, tzinfo=UTC)


class World:
    """A clock that only sleeping moves, and ticks that report what they are told to."""

    def __init__(self, *reports: TickReport) -> None:
        self.now = NOW
        self.reports = list(reports)
        self.ticked_at: list[datetime] = []

    def tick(self, end: datetime) -> TickReport:
        assert end == NOW + LONGEST
        self.ticked_at.append(self.now)
        return self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]

    def sleep(self, seconds: float) -> None:
        assert seconds >= 1
        self.now += timedelta(seconds=seconds)

    def run(self) -> TickRun:
        return tick_while_due(self.tick, lambda: self.now, self.sleep)


def report(next_in: float | None = None, **kwargs: object) -> TickReport:
    next_at = None if next_in is None else NOW + timedelta(seconds=next_in)
    made = TickReport(next_at=next_at, is_dispatcher=True)
    for name, value in kwargs.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("next_in", [None, SOON.total_seconds() + 1, 86400])
def test_a_run_ticks_once_when_nothing_is_due_soon(next_in: float | None) -> None:
    run = World(report(next_in)).run()
    assert run.count_ticks == 1
    assert run.ask_again_at == (NOW + timedelta(seconds=next_in) if next_in else None)


def test_a_run_stays_for_what_is_due_soon_and_looks_every_five_seconds_meanwhile() -> None:
    world = World(report(12), report(12), report(12), report(None, counts={"handed_over": 1}))
    run = world.run()
    assert [(at - NOW).total_seconds() for at in world.ticked_at] == [0, 5, 10, 12]
    assert run.counts == {"handed_over": 1}
    assert run.looked_at == NOW + timedelta(seconds=12)


def test_a_run_ends_after_ten_minutes_and_asks_for_the_next_one_at_once() -> None:
    world = World(report(0, counts={"handed_over": 1}))
    run = world.run()
    assert world.now - NOW == LONGEST
    assert run.ask_again_at == NOW


@pytest.mark.parametrize(
    "why",
    [
        pytest.param({"is_stopped": True}, id="STOP"),
        pytest.param({"is_dispatcher": False}, id="another dispatcher"),
        pytest.param({}, id="no progress"),
    ],
)
def test_a_run_that_can_do_nothing_about_what_is_due_leaves_and_asks_later(
    why: dict[str, object],
) -> None:
    run = World(report(-5, **why)).run()
    assert run.count_ticks == 1
    assert run.ask_again_at == NOW + BACK_OFF


@given(
    st.lists(
        st.builds(
            report,
            st.none() | st.floats(-1e4, 1e4),
            counts=st.sampled_from([{}, {"sent": 1}]),
            is_stopped=st.booleans(),
            is_dispatcher=st.booleans(),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_ticks_report_a_run_ends_in_time(reports: list[TickReport]) -> None:
    world = World(*reports)
    run = world.run()
    assert world.now - NOW <= LONGEST + timedelta(seconds=5)
    assert run.count_ticks == len(world.ticked_at) <= LONGEST.total_seconds() + 1


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    home, sequences = tmp_path / "home", tmp_path / "sequences"
    (home / "landing").mkdir(parents=True)
    (sequences / "templates").mkdir(parents=True)
    (home / "landing" / "inbound-1.jsonl").write_text("{}")
    (home / "landing" / "journal-1.jsonl").write_text("{}")
    (home / "ledger.duckdb").write_text("")
    (sequences / "welcome.yml").write_text("")
    for path in [tmp_path, *tmp_path.rglob("*")]:
        touch(path, NOW - timedelta(hours=1))
    return home, sequences


def touch(path: Path, at: datetime) -> None:
    os.utime(path, (at.timestamp(), at.timestamp()))


def last(ask_in: float | None = None) -> LastTick:
    ask_again_at = None if ask_in is None else NOW + timedelta(seconds=ask_in)
    return LastTick(NOW - timedelta(seconds=60), NOW - timedelta(seconds=50), ask_again_at)


def test_the_first_tick_needs_no_reason(places: tuple[Path, Path]) -> None:
    assert reason_to_tick(*places, None, NOW) == "no tick has finished yet"


@pytest.mark.parametrize("ask_in", [None, AHEAD.total_seconds() + 1, 86400])
def test_without_anything_due_or_changed_there_is_no_reason(
    places: tuple[Path, Path], ask_in: float | None
) -> None:
    assert reason_to_tick(*places, last(ask_in), NOW) is None


@pytest.mark.parametrize("ask_in", [-3600, 0, AHEAD.total_seconds()])
def test_what_is_due_now_or_by_the_time_a_run_starts_is_a_reason(
    places: tuple[Path, Path], ask_in: float
) -> None:
    assert "due" in str(reason_to_tick(*places, last(ask_in), NOW))


@pytest.mark.parametrize(
    ("path", "seconds", "reason"),
    [
        pytest.param("home/landing/inbound-1.jsonl", 1, "landed", id="landed after the look"),
        pytest.param("home/landing/inbound-1.jsonl", 0, "landed", id="landed during the look"),
        pytest.param("home/landing/inbound-1.jsonl", -1, None, id="landed before"),
        pytest.param("home/landing/journal-1.jsonl", 30, None, id="the dispatcher's own journal"),
        pytest.param("sequences/welcome.yml", 1, "sequence file", id="edited"),
        pytest.param("sequences/templates", 1, "sequence file", id="a template was deleted"),
        pytest.param("home/ledger.duckdb", 9, None, id="the tick's own writing"),
        pytest.param("home/ledger.duckdb", 11, "ledger", id="somebody wrote to the ledger"),
    ],
)
def test_what_has_changed_since_the_last_look_is_a_reason(
    places: tuple[Path, Path], tmp_path: Path, path: str, seconds: int, reason: str | None
) -> None:
    touch(tmp_path / path, last().looked_at + timedelta(seconds=seconds))
    found = reason_to_tick(*places, last(), NOW)
    assert found is None if reason is None else reason in str(found)


def test_every_five_minutes_somebody_looks(places: tuple[Path, Path]) -> None:
    assert "5 minutes" in str(reason_to_tick(*places, last(), last().finished_at + ROUND))
