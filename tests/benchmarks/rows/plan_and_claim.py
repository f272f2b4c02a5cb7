"""Plan and claim: the engine's pass over everything that is due, against a hand-written one.

Belongs here: one run of each side, their ratio, memory and growth. Does not: the world, the table.
"""

import math
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from statistics import linear_regression, median

import duckdb

from pipeline.engine.plan import plan
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.ledger.store import open_ledger, transaction
from tests.benchmarks.alone import run_alone
from tests.benchmarks.bench import Bench, open_world
from tests.benchmarks.floors.row_by_row import run_script
from tests.benchmarks.table import Line
from tests.benchmarks.world import DUE_SHARE, NOW, ZONES, World, sequence_cap

FLOOR = Path(__file__).parents[1] / "floors" / "plan_and_claim.sql"
# What both sides write, without the ids that a serial gives in any order.
WRITTEN = {
    "sends": "exclude (send_id)",
    "why": "exclude (send_id)",
    "assignments": "",
    "send_outcomes": "",
    "enrollment_ends": "",
    "live": "exclude (send_id)",
}
MOST_RATIO = 1.5
MOST_GIB = 4
LEAST_SPEEDUP = 100
MOST_SLOPE = 1.1
SCRIPT_ROWS = 5_000
HERE = "tests.benchmarks.rows.plan_and_claim"


def measure(bench: Bench) -> Iterator[Line]:
    """Yield the lines of planning."""
    sizes = [bench.count // 10, bench.count * 3 // 10, bench.count]
    script_seconds = _script(bench, sizes[0])
    engine: dict[int, list[float]] = {size: [] for size in sizes}
    floor = []
    peaks = {"engine": 0.0, "floor": 0.0}
    for run in range(bench.runs):
        for side in ("engine", "floor") if run % 2 == 0 else ("floor", "engine"):
            seconds, peak = _one_run(bench, side, bench.count)
            (engine[bench.count] if side == "engine" else floor).append(seconds)
            peaks[side] = max(peaks[side], peak)
            bench.say(f"run {run + 1}: {side} {seconds:.2f} s, {peak:.2f} GiB")
    for size in sizes[:-1]:
        engine[size] = [_one_run(bench, "engine", size)[0] for _ in range(3)]
    anchor = _anchor(bench)
    ours, theirs = median(engine[bench.count]), median(floor)
    # Of runs side by side: what slows the machine for a while slows both.
    ratio = median(mine / other for mine, other in zip(engine[bench.count], floor, strict=True))
    due = round(bench.count * DUE_SHARE)
    yield Line(
        f"plan and claim {due:,} of {bench.count:,}",
        ours,
        theirs,
        ratio,
        MOST_RATIO,
        peak_gib=peaks["engine"],
        floor_peak_gib=peaks["floor"],
    )
    yield Line(
        "its peak memory", peaks["engine"], peaks["floor"], peaks["engine"], MOST_GIB, unit="GiB"
    )
    yield Line("its rows inserted from Parquet", ours, anchor, ours / anchor)
    by_row = script_seconds * due
    yield Line(
        "row by row, batches of 100", ours, by_row, by_row / ours, LEAST_SPEEDUP, is_least=True
    )
    slope = linear_regression(
        [math.log(size) for size in sizes], [math.log(min(engine[size])) for size in sizes]
    ).slope
    yield Line(
        "its growth over 1, 3, 10 times the rows",
        min(engine[sizes[-1]]),
        min(engine[sizes[0]]),
        slope,
        MOST_SLOPE,
    )


def _one_run(bench: Bench, side: str, count: int) -> tuple[float, float]:
    with bench.copy(count) as place:
        return run_alone(f"{HERE}:time_side", side, str(place), count)


def _anchor(bench: Bench) -> float:
    """Return the seconds in which DuckDB inserts the rows that a run writes, from Parquet."""
    parquet = bench.place / "parquet"
    parquet.mkdir()
    with bench.copy(bench.count) as place:
        run_alone(f"{HERE}:write_parquet", str(place), bench.count, str(parquet))
    seconds = []
    for _ in range(min(3, bench.runs)):
        with bench.copy(bench.count) as place:
            arguments = (str(place), bench.count, str(parquet))
            seconds.append(run_alone(f"{HERE}:time_inserts", *arguments)[0])
    return median(seconds)


def _script(bench: Bench, count: int) -> float:
    """Return the seconds of the script for one row, on the smallest world: in its favour, as is its index."""
    with bench.copy(count) as place:
        seconds, _ = run_alone(f"{HERE}:time_script", str(place), count)
    bench.say(f"row by row: {seconds * 1000:.2f} ms a row")
    return float(seconds)


def run_engine(con: duckdb.DuckDBPyConnection, world: World) -> None:
    """Plan and claim as a tick does: the programme, then the pass."""
    plan(con, world.programme(con), world.salt, NOW)


def run_floor(con: duckdb.DuckDBPyConnection, world: World) -> None:
    """Plan and claim by hand-written SQL."""
    midnight = NOW.replace(hour=0)
    run_file(
        con,
        FLOOR,
        now=NOW,
        today=midnight,
        tomorrow=midnight + timedelta(days=1),
        zones=ZONES,
        per_day=sequence_cap(world.count),
        salt=world.salt,
    )


SIDES = {"engine": run_engine, "floor": run_floor}


def time_side(side: str, place: str, count: int) -> float:
    """Return the seconds of one side's transaction, from its begin to the end of its commit."""
    world = open_world(place, count)
    with open_ledger(world.home) as con:
        began = time.perf_counter()
        with transaction(con):
            SIDES[side](con, world)
        return time.perf_counter() - began


def time_script(place: str, count: int) -> float:
    """Return the seconds of the script for one row, after it has made the indexes it likes."""
    world = open_world(place, count)
    with open_ledger(world.home) as con:
        for table, column in (
            ("live", "enrollment_id"),
            ("leads", "lead_id"),
            ("identities", "lead_id"),
            ("suppressions", "lead_id"),
            ("assignments", "unit_id"),
        ):
            con.execute(f"create index {table}_{column} on {table} ({column})")
        began = time.perf_counter()
        done = run_script(con, world, SCRIPT_ROWS)
        return (time.perf_counter() - began) / done


def write_parquet(place: str, count: int, target: str) -> None:
    """Run the engine and write the rows that came to Parquet, one file per table."""
    world = open_world(place, count)
    with open_ledger(world.home) as con:
        serial = fetch_value(con, "select max(send_id) from sends")
        with transaction(con):
            run_engine(con, world)
        for table, came in {
            "sends": f"send_id > {serial}",
            "why": "true",
            "assignments": "assigned_at = $now",
            "send_outcomes": "true",
            "enrollment_ends": "true",
            "live": "status = 'in_flight' or enrollment_id in (select enrollment_id from why)",
        }.items():
            con.execute(
                f"create temp table came as select * from {table} where {came}",
                {"now": NOW} if "$now" in came else None,
            )
            con.execute(f"copy came to '{target}/{table}.parquet'")
            con.execute("drop table came")


def time_inserts(place: str, count: int, source: str) -> float:
    """Return the seconds in which the rows of `write_parquet` are inserted and committed."""
    with open_ledger(open_world(place, count).home) as con:
        began = time.perf_counter()
        with transaction(con):
            for table in WRITTEN:
                con.execute(f"insert into {table} from '{source}/{table}.parquet'")
        return time.perf_counter() - began
