"""A tick with nothing due, against the bare scan for what is due.

Belongs here: both, on the world of planning two days earlier. Does not: the world, the table.
"""

import time
from collections.abc import Iterator
from statistics import median

import duckdb

from pipeline.engine.tick import tick
from pipeline.ledger.statements import fetch_value
from pipeline.ledger.store import ledger_path
from tests.benchmarks.alone import run_alone
from tests.benchmarks.bench import Bench, open_world
from tests.benchmarks.table import Line
from tests.benchmarks.world import QUIET

SCAN = "select count(*) from live where slot_at <= $now and status != 'in_flight' and not is_paused"
ROUNDS = 7
MOST_OVER_TWICE = 0.2


def measure(bench: Bench) -> Iterator[Line]:
    """Yield the line of the idle tick: what it takes beyond twice the scan, in seconds."""
    with bench.copy(bench.count) as place:
        answer, peak = run_alone(
            "tests.benchmarks.rows.idle_tick:time_both", str(place), bench.count
        )
    ours, floor = answer
    yield Line(
        "nothing due: tick less two scans",
        ours,
        floor,
        ours - 2 * floor,
        MOST_OVER_TWICE,
        peak_gib=peak,
    )


def time_both(place: str, count: int) -> tuple[float, float]:
    """Return the median seconds of a tick, and of opening the file and looking for what is due."""
    world = open_world(place, count)
    ticks, scans = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        report = tick(world.settings, lambda: QUIET)
        ticks.append(time.perf_counter() - began)
        assert report.counts == {}, report.counts
        began = time.perf_counter()
        with duckdb.connect(str(ledger_path(world.home)), read_only=True) as con:
            assert fetch_value(con, SCAN, {"now": QUIET}) == 0
        scans.append(time.perf_counter() - began)
    return median(ticks), median(scans)
