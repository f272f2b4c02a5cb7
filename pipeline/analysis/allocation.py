"""How often each arm of a bandit is drawn next, from what its leads did (statistics.md 2.10).

Belongs here: Thompson shares from the sums of the arms. Does not: drawing with them (`engine`),
decisions, which a bandit does not take by itself (`decisions`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.best import believe_money, believe_shares, rank_means
from pipeline.analysis.comparisons import is_money

FLOOR = 0.10
"""Every arm keeps this share, so that it can still be learned about and judged afterwards."""

WEIGHTS_SCHEMA: dict[str, pl.DataType] = {
    "experiment_id": pl.String(),
    "arm": pl.String(),
    "weight": pl.Float64(),
    "probability_best": pl.Float64(),
    "n": pl.Int64(),
    "computed_at": pl.Datetime("us", "UTC"),
}


def allocate_arms(experiments: pl.DataFrame, arms: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Return the weight of each arm of each experiment with `allocation: thompson`.

    Only leads whose window is over count, so an arm whose replies come late is not punished. What
    is held out competes for nothing. Grain: one row per experiment and arm; the weights of one
    experiment sum to 1.

    Args:
        experiments: marts.experiments.
        arms: marts.experiment_arms, one row per experiment, metric, arm and day.
        now: the moment of the facts.
    """
    bandits = experiments.filter(pl.col("allocation") == "thompson").select("experiment_id")
    # Sorted first: sums of floats must not depend on the order of the rows.
    summed = (
        arms.join(bandits, on="experiment_id", how="semi")
        .filter(pl.col("is_primary") & (pl.col("role") != "held_out"))
        .sort("experiment_id", "arm", "assigned_on", "n", "sum")
        .group_by("experiment_id", "arm", maintain_order=True)
        .agg(
            pl.col("metric").first(),
            pl.col("n").sum(),
            pl.col("sum", "sum_squares").cast(pl.Float64).sum(),
        )
    )
    rows = [
        row
        for _, of_one in summed.group_by("experiment_id", maintain_order=True)
        for row in _allocate(of_one.to_dicts(), now)
    ]
    return pl.DataFrame(rows, schema=WEIGHTS_SCHEMA, orient="row")


def _allocate(arms: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[dict[str, Any]]:
    found = [ArmStats(arm["n"], arm["sum"], arm["sum_squares"]) for arm in arms]
    best = probabilities_best(found, is_money=is_money(str(arms[0]["metric"])))
    for arm, probability, weight in zip(arms, best, keep_floor(best), strict=True):
        yield {
            "experiment_id": arm["experiment_id"],
            "arm": arm["arm"],
            "weight": weight,
            "probability_best": probability,
            "n": arm["n"],
            "computed_at": now.astimezone(UTC),
        }


def probabilities_best(arms: Sequence[ArmStats], *, is_money: bool = False) -> list[float]:
    """Return for each arm the probability that its mean is the highest of all.

    Shares of leads have a uniform prior, so their mean is Beta(1 + x, 1 + n - x); means of money
    are Student-t with one variance for all arms, since an arm without a buyer would look certain
    otherwise. By quadrature, not by lot: the same numbers every time.
    """
    beliefs = believe_money(arms) if is_money else believe_shares(arms)
    if beliefs is None:
        return [1 / len(arms)] * len(arms)
    return [best.probability for best in rank_means(beliefs)]


def keep_floor(probabilities: Sequence[float]) -> list[float]:
    """Return the shares: the floor for every arm, and the rest by the probability to be best.

    With more than five arms the floors take half of all leads.
    """
    floor = min(FLOOR, 0.5 / len(probabilities))
    rest = 1 - floor * len(probabilities)
    return [floor + rest * probability for probability in probabilities]
