"""All comparisons of a thousand experiments, against the classes of gbstats on the same sums.

Belongs here: the draw, both sides, a new look of a planned test. Does not: the statistics
(`pipeline.analysis`), what gbstats does (`floors/gbstats_classes.py`).
"""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from statistics import median

import numpy as np
import polars as pl

from pipeline.analysis.arm_columns import compared_arms, order_days
from pipeline.analysis.decision_rows import LOOKS_SCHEMA
from pipeline.analysis.decisions import decide_experiments
from pipeline.analysis.guardrails import METRICS
from pipeline.analysis.metric_looks import look_at_metrics
from pipeline.analysis.pairs import DEFAULT_PAIR_LEADS
from tests.benchmarks.alone import run_alone
from tests.benchmarks.bench import Bench
from tests.benchmarks.floors.gbstats_classes import Sums, compare_all
from tests.benchmarks.table import Line

EXPERIMENTS = 1000
ARMS = ("a", "b", "c")
# Shares of leads, and buyers with the mean of what they spend.
RATES = {"opened": 0.4, "clicked": 0.08, "replied": 0.03, "goal(sale)": 0.02}
MONEY = "revenue(sale)"
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
ROUNDS = 3
LOOKS = 20
LEAST_TIMES_FASTER = 50
MOST_SECONDS_PER_PLANNED_LOOK = 0.010


def measure(bench: Bench) -> Iterator[Line]:
    """Yield the lines: all comparisons, the whole look around them, a new look of a planned test."""
    bench.say(f"drawing {EXPERIMENTS:,} experiments of three arms and five metrics")
    answer, peak = run_alone("tests.benchmarks.rows.closed_form:time_all", EXPERIMENTS)
    ours, whole, floor, look = answer
    yield Line(
        "1,000 tests compared: gbstats to ours",
        ours,
        floor,
        floor / ours,
        LEAST_TIMES_FASTER,
        is_least=True,
        peak_gib=peak,
    )
    yield Line(
        "1,000 tests decided: gbstats compares to that",
        whole,
        floor,
        floor / whole,
    )
    yield Line(
        "planned: a new look at a test",
        look,
        None,
        look,
        MOST_SECONDS_PER_PLANNED_LOOK,
    )


def time_all(count: int) -> tuple[float, float, float, float]:
    """Return the seconds of ours, of the whole look, of gbstats, and of a planned look.

    The best of some rounds each, in CPU time: both sides only compute, and the machine is shared.
    """
    experiments, days = draw(count)
    frame = order_days(experiments, days, {})
    sums = sums_of(frame)
    columns = compared_arms(frame, experiments["experiment_id"].to_list())
    no_looks = pl.DataFrame(schema=LOOKS_SCHEMA)
    seconds: dict[str, list[float]] = {"ours": [], "whole": [], "floor": []}
    for _ in range(ROUNDS):
        began = time.process_time()
        found = look_at_metrics(columns, {})
        seconds["ours"].append(time.process_time() - began)
        began = time.process_time()
        compared = compare_all(sums, float(found.pairs.rule.alpha[0]), DEFAULT_PAIR_LEADS)
        seconds["floor"].append(time.process_time() - began)
        assert len(compared) == len(found.looks.effect) == 15 * count
        began = time.process_time()
        decided = decide_experiments(experiments, days, no_looks, NOW)
        seconds["whole"].append(time.process_time() - began)
        assert [table.height for table in decided] == [count, 15 * count]
    ours, whole, floor = (min(times) for times in seconds.values())
    return ours, whole, floor, min(time_planned_looks() for _ in range(ROUNDS))


def time_planned_looks() -> float:
    """Return the median CPU seconds of a day's look at one planned test, storing included."""
    experiments, days = draw(1)
    planned = pl.lit("planned").alias("mode"), pl.lit(60_000).alias("planned_leads")
    experiments = experiments.with_columns(*planned)
    looks, seconds = pl.DataFrame(schema=LOOKS_SCHEMA), []
    for day in range(LOOKS):
        # As many leads again every day, and some.
        today = days.with_columns(pl.col("n", "n_assigned") * (day + 1) + day)
        began = time.process_time()
        decisions, _ = decide_experiments(experiments, today, looks, NOW + timedelta(days=day))
        seconds.append(time.process_time() - began)
        looks = decisions.select(*LOOKS_SCHEMA)
    return median(seconds)


def draw(count: int, seed: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return marts.experiments and marts.experiment_arms of so many experiments, a day each."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        size = int(rng.integers(400, 6000))
        for arm in ARMS:
            n = size + int(rng.integers(0, 30))
            for metric in (*RATES, MONEY):
                amounts = np.ones(rng.binomial(n, RATES.get(metric, 0.02)))
                if metric == MONEY:
                    amounts *= rng.lognormal(5, 0.8, len(amounts))
                rows.append(_day(f"test {number:04}", arm, metric, n, amounts))
    days = pl.DataFrame(rows)
    experiments = (
        days.select("experiment_id")
        .unique(maintain_order=True)
        .with_columns(
            metric=pl.lit("replied"),
            mode=pl.lit("open"),
            planned_leads=pl.lit(None, dtype=pl.Int64),
            alpha=pl.lit(0.05),
            is_auto=pl.lit(value=False),
            control=pl.lit("a"),
            count_conflicting_units=pl.lit(0),
            allocation=pl.lit("weights"),
            has_changing_shares=pl.lit(value=False),
            guardrails=pl.lit([*METRICS]),
            expected_loss=pl.lit(None, dtype=pl.Float64),
            margin=pl.lit(None, dtype=pl.Float64),
        )
    )
    return experiments, days


def _day(
    experiment_id: str, arm: str, metric: str, n: int, amounts: np.ndarray
) -> dict[str, object]:
    return {
        "experiment_id": experiment_id,
        "metric": metric,
        "is_primary": metric == "replied",
        "arm": arm,
        "role": "control" if arm == "a" else "treatment",
        "share": 1 / len(ARMS),
        "assigned_on": date(2026, 3, 1),
        "n_assigned": n,
        "n": n,
        "sum": amounts.sum(),
        "sum_squares": (amounts**2).sum(),
        "sum_so_far": amounts.sum(),
        "n_engaged": n // 4,
        "sum_engaged": amounts.sum() / 3,
        "probability": 1 / len(ARMS),
    }


def sums_of(frame: pl.DataFrame) -> list[list[Sums]]:
    """Return the arms of each metric, in their order, as the other side takes them."""
    rows = list(frame.select("n", "sum", "sum_squares").iter_rows())
    return [rows[start : start + len(ARMS)] for start in range(0, len(rows), len(ARMS))]
