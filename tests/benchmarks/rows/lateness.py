"""How late steps go out that fall due one after another, as fast as 100,000 in an hour.

Belongs here: a home whose steps fall due from minute to minute, `drip tick --loop` and Dagster at
work on it beside a refresh. Does not: planning itself (`plan_and_claim`), the table.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.defs.up import find_port
from pipeline.engine.tick import tick
from pipeline.inbound.landing import append_lines, landing_line
from pipeline.ledger.store import create_ledger, open_ledger
from pipeline.settings import Settings, child_environment, utc_now
from tests.benchmarks.alone import ROOT
from tests.benchmarks.bench import Bench
from tests.benchmarks.table import Line
from tests.benchmarks.world import WORKSPACE

PER_SECOND = 100_000 / 3600
# Until the first step: a loop starts in seconds, Dagster in half a minute.
LOOP_STARTS, DAGSTER_STARTS = timedelta(seconds=15), timedelta(seconds=75)
LAST_MOMENT = timedelta(seconds=90)
SEQUENCE = """
status: active
enroll: {when: "lead.source = 'STEADY'"}
calendar: {timezone: UTC, days: [mon, tue, wed, thu, fri, sat, sun], hours: "00:00-24:00"}
steps:
  - {id: note, after: 1d, channel: email, sender: sales, subject: One, body: templates/hello.md}
"""
# One after another, in the order of the enrollments.
SPREAD = """
    update live set due_at = due.slot_at, slot_at = due.slot_at
    from (
        select
            enrollment_id,
            $first + to_microseconds(
                ((row_number() over (order by enrollment_id) - 1) * 1e6 / $rate)::bigint
            ) as slot_at
        from live
    ) as due
    where live.enrollment_id = due.enrollment_id
"""
LATENESS = """
    select
        count(*), quantile_cont(late, 0.95), quantile_cont(late, 0.99), max(late)
    from (select epoch(settled_at - slot_at) as late from send_status where status = 'handed_over')
"""


@dataclass(frozen=True)
class Lateness:
    """Seconds from slot to hand-over, over all steps."""

    p95: float
    p99: float
    most: float


def measure(bench: Bench) -> Iterator[Line]:
    """Yield p99 of the loop, p95 and p99 of Dagster, each beside one refresh."""
    count = round(PER_SECOND * bench.steady_seconds)
    bench.say(f"{count:,} steps fall due in {bench.steady_seconds} s under drip tick --loop")
    with steady_home(bench.place / "loop", count, LOOP_STARTS) as settings:
        late = live(settings, ("tick", "--loop", "--every", "1"), count, bench.steady_seconds)
        yield Line("lateness, drip tick --loop, p99", late.p99, None, late.p99, 10)
    bench.say(f"{count:,} steps fall due in {bench.steady_seconds} s under Dagster")
    with steady_home(bench.place / "dagster", count, DAGSTER_STARTS) as settings:
        late = live(settings, ("up",), count, bench.steady_seconds)
        yield Line("lateness, Dagster beside a refresh, p95", late.p95, None, late.p95, 30)
        yield Line("lateness, Dagster beside a refresh, p99", late.p99, None, late.p99, 60)


@contextmanager
def steady_home(place: Path, count: int, starts: timedelta) -> Iterator[Settings]:
    """Make a home whose `count` steps fall due evenly from `starts` from now on."""
    settings = Settings(home=place / "home", sequences=place / "sequences", port=find_port(0))
    (settings.sequences / "templates").mkdir(parents=True)
    (settings.sequences / "workspace.yml").write_text(WORKSPACE)
    (settings.sequences / "templates" / "hello.md").write_text("Hello.")
    (settings.sequences / "steady.yml").write_text(SEQUENCE)
    create_ledger(settings.home)
    now = utc_now()
    people = [{"email": f"lead{i}@example.com", "source": "STEADY"} for i in range(count)]
    line = landing_line(line_id="0" * 32, received_at=now, source="api", leads=people)
    append_lines(settings.home, "inbound", [line], now)
    tick(settings, utc_now)
    with open_ledger(settings.home) as con:
        con.execute(SPREAD, {"first": utc_now() + starts, "rate": PER_SECOND})
    yield settings


def live(settings: Settings, command: tuple[str, ...], count: int, seconds: float) -> Lateness:
    """Let the command run until everything is out; a refresh begins in the middle."""
    with open_ledger(settings.home, read_only=True) as con:
        first = con.execute("select min(due_at) from live").fetchall()[0][0]
    with running(settings, command):
        wait_until(first + timedelta(seconds=seconds / 3))
        drip(settings, "refresh").wait(300)
        wait_until(first + timedelta(seconds=seconds))
        until = utc_now() + LAST_MOMENT
        while waiting(settings) and utc_now() < until:
            time.sleep(2)
    with open_ledger(settings.home, read_only=True) as con:
        sent, p95, p99, most = con.execute(LATENESS).fetchall()[0]
    if sent != count:
        raise RuntimeError(f"{count - sent} of {count} steps were lost")
    return Lateness(p95, p99, most)


def waiting(settings: Settings) -> int:
    """Return how many steps have not gone out."""
    with open_ledger(settings.home, read_only=True, timeout=60) as con:
        return int(con.execute("select count(*) from live").fetchall()[0][0])


def wait_until(moment: datetime) -> None:
    """Sleep until then."""
    time.sleep(max(0.0, (moment - utc_now()).total_seconds()))


def drip(settings: Settings, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a drip command on this home, silently."""
    with (settings.home.parent / f"{arguments[0]}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", *arguments],
            cwd=ROOT,
            env=child_environment(settings) | {"PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@contextmanager
def running(settings: Settings, command: tuple[str, ...]) -> Iterator[None]:
    """Run the command meanwhile, and stop it with all its children."""
    process = drip(settings, *command)
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"drip {command[0]} ended with {process.returncode}")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
