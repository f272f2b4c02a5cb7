"""Time to conversion of a million leads in twenty sequences, against sorting the same rows.

Belongs here: both, on drawn rows. Does not: the statistics (`pipeline.analysis.conversions`).
"""

import time
from collections.abc import Iterator
from statistics import median

import duckdb
import polars as pl

from pipeline.analysis.conversions import conversion_curves, conversion_times
from tests.benchmarks.alone import run_alone
from tests.benchmarks.bench import Bench
from tests.benchmarks.table import Line

LEADS = 1_000_000
MOST_OVER_SORTING = 3.0
ROUNDS = 5

DRAW = """
select
    's' || i % 20 as sequence_id, hash(i, 1) % 10 = 0 as is_holdout,
    cast(hash(i, 2) % 200 as bigint) as duration_whole_days, hash(i, 3) % 10 = 0 as is_converted,
    if(hash(i, 4) % 50 = 0 and not is_converted, 'unsubscribed', null) as left_as,
    if(left_as is null, null, cast(hash(i, 5) % (duration_whole_days + 1) as bigint)) as left_whole_days,
    cast(0 as bigint) as observed_from_whole_days
from range($leads) as t (i)
"""
SORT = "create or replace table sorted as from rows order by sequence_id, is_holdout, duration_whole_days"


def measure(bench: Bench) -> Iterator[Line]:
    """Yield the line: both curves and numbers of all sequences, over the time of the sort."""
    bench.say(f"drawing {LEADS:,} leads with their time to conversion")
    answer, peak = run_alone("tests.benchmarks.rows.conversions:time_both", LEADS)
    ours, floor = answer
    yield Line(
        "time to conversion, 1 million leads: to sorting them",
        ours,
        floor,
        ours / floor,
        MOST_OVER_SORTING,
        peak_gib=peak,
    )


def time_both(leads: int) -> tuple[float, float]:
    """Return the median seconds of reading and estimating, and of the sort."""
    ours, floors = [], []
    with duckdb.connect() as con:
        con.execute(f"create table rows as {DRAW}", {"leads": leads})
        for _ in range(ROUNDS):
            began = time.perf_counter()
            frame: pl.DataFrame = con.sql("from rows").pl()
            curves, times = conversion_curves(frame), conversion_times(frame)
            ours.append(time.perf_counter() - began)
            assert (curves["sequence_id"].n_unique(), times.height) == (20, 40)
            began = time.perf_counter()
            con.execute(SORT)
            floors.append(time.perf_counter() - began)
    return median(ours), median(floors)
