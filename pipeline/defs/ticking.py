"""When to tick: how long a run goes on, and whether the sensor should ask for one.

Belongs here: the two decisions, as functions of a clock, the latest run and the state of files.
Does not: the tick (`engine.tick`), Dagster (`ledger`, `automation`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.engine.tick import TickReport

LONGEST = timedelta(minutes=10)
# Between the sensor's request and the first line of a run pass 6 to 35 s (feasibility.md A3), so a
# run stays for what is due within a minute, and the sensor asks 20 s ahead.
SOON = timedelta(seconds=60)
AHEAD = timedelta(seconds=20)
# While it stays it looks every 5 s: what has landed meanwhile may end an enrollment.
LOOK_EVERY = timedelta(seconds=5)
# Another dispatcher at work, a STOP file, a failure: no use in asking every 15 s.
BACK_OFF = timedelta(seconds=60)
# Rules of enrolment may depend on the time alone, and a person may have written to the ledger.
ROUND = timedelta(minutes=5)
# A file's time comes from the kernel's coarse clock, which is up to 10 ms behind ours.
CLOCK_GRAIN = timedelta(milliseconds=50)


@dataclass(frozen=True)
class LastTick:
    """What the latest run left behind for the sensor."""

    looked_at: datetime
    finished_at: datetime
    ask_again_at: datetime | None


@dataclass
class TickRun:
    """What the ticks of one run did together."""

    looked_at: datetime
    finished_at: datetime
    ask_again_at: datetime | None = None
    counts: dict[str, int] = field(default_factory=dict)
    count_ticks: int = 0

    def add(self, report: TickReport) -> None:
        """Add one tick."""
        self.count_ticks += 1
        for name, count in report.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count


def tick_while_due(
    tick: Callable[[datetime], TickReport],
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> TickRun:
    """Tick, and go on ticking while something is due soon, ten minutes at most.

    Args:
        tick: one tick, given the moment from which it may hand over no more: where something falls
            due all the time it would have no end.
        clock: the current moment.
        sleep: waits that many seconds.
    """
    began = clock()
    end, run = began + LONGEST, TickRun(looked_at=began, finished_at=began)
    while True:
        run.looked_at = clock()
        report = tick(end)
        run.add(report)
        run.finished_at = clock()
        run.ask_again_at = _ask_again_at(report, run.finished_at)
        wake_at = run.ask_again_at
        if wake_at is None or wake_at > run.finished_at + SOON or run.finished_at >= end:
            return run
        if _is_waiting_for_others(report, run.finished_at):
            return run
        wake_at = min(max(wake_at, run.finished_at), run.finished_at + LOOK_EVERY)
        # A second at least, so that what stays overdue costs little.
        sleep(max((wake_at - run.finished_at).total_seconds(), 1.0))


def _is_waiting_for_others(report: TickReport, now: datetime) -> bool:
    """Return whether something is due that this tick could not do, and no second one will."""
    is_overdue = report.next_at is not None and report.next_at <= now
    return report.is_stopped or not report.is_dispatcher or (is_overdue and not report.counts)


def _ask_again_at(report: TickReport, now: datetime) -> datetime | None:
    if _is_waiting_for_others(report, now) and report.next_at is not None:
        return max(report.next_at, now + BACK_OFF)
    return report.next_at


def reason_to_tick(home: Path, sequences: Path, last: LastTick | None, now: datetime) -> str | None:
    """Say why a tick is worth while, or None. Looks at times of files only, never at the ledger."""
    if last is None:
        return "no tick has finished yet"
    if last.ask_again_at is not None and last.ask_again_at <= now + AHEAD:
        return f"something is due at {last.ask_again_at:%Y-%m-%d %H:%M:%S} UTC"
    if last.finished_at <= now - ROUND:
        return f"nobody has looked for {ROUND.total_seconds() / 60:.0f} minutes"
    return _what_has_changed(home, sequences, last)


def _what_has_changed(home: Path, sequences: Path, last: LastTick) -> str | None:
    landed = [path for path in home.glob("landing/*") if not path.name.startswith("journal-")]
    # What is written while a tick runs may have come too late for it.
    if _is_changed(landed, last.looked_at - CLOCK_GRAIN):
        return "something has landed"
    if _is_changed([sequences, *sequences.rglob("*")], last.looked_at - CLOCK_GRAIN):
        return "a sequence file has changed"
    # Here the tick itself is the writer until it finishes.
    if _is_changed(home.glob("ledger.duckdb*"), last.finished_at):
        return "something was written to the ledger"
    return None


def _is_changed(paths: Iterable[Path], since: datetime) -> bool:
    return any(_time_of(path) > since.timestamp() for path in paths)


def _time_of(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # a segment was rotated away, an editor swapped a file
        return 0.0
