"""How often each arm of a bandit is drawn next, from what its leads did (statistics.md 2.10).

Belongs here: Thompson shares from the sums of the arms. Does not: drawing with them (`engine`),
decisions, which a bandit does not take by itself (`decisions`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from pipeline.analysis.comparisons import ArmStats

FLOOR = 0.10
"""Every arm keeps this share, so that it can still be learned about and judged afterwards."""
_POINTS = 4096

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
    is_money = str(arms[0]["metric"]).startswith("revenue(")
    best = probabilities_best(found, is_money=is_money)
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
    otherwise. By quadrature over the quantiles of each arm: no luck, the same numbers every time.
    """
    posteriors = _means_of_money(arms) if is_money else _shares_of_leads(arms)
    if posteriors is None:
        return [1 / len(arms)] * len(arms)
    levels = (np.arange(_POINTS) + 0.5) / _POINTS
    found = []
    for place, posterior in enumerate(posteriors):
        values = posterior.ppf(levels)
        below = [other.cdf(values) for o, other in enumerate(posteriors) if o != place]
        found.append(float(np.mean(np.prod(below, axis=0))))
    total = sum(found)
    return [probability / total for probability in found]


def keep_floor(probabilities: Sequence[float]) -> list[float]:
    """Return the shares: the floor for every arm, and the rest by the probability to be best.

    With more than five arms the floors take half of all leads.
    """
    floor = min(FLOOR, 0.5 / len(probabilities))
    rest = 1 - floor * len(probabilities)
    return [floor + rest * probability for probability in probabilities]


def _shares_of_leads(arms: Sequence[ArmStats]) -> list[Any]:
    return [stats.beta(1 + arm.sum, 1 + max(0.0, arm.n - arm.sum)) for arm in arms]


def _means_of_money(arms: Sequence[ArmStats]) -> list[Any] | None:
    """Return None while nothing can be told: an arm without leads, or no money that differs."""
    count = sum(arm.n for arm in arms)
    free = count - len(arms)
    spread = sum(arm.n * arm.variance for arm in arms)
    if free < 1 or spread <= 0 or min(arm.n for arm in arms) == 0:
        return None
    return [stats.t(free, arm.mean, (spread / free / arm.n) ** 0.5) for arm in arms]
