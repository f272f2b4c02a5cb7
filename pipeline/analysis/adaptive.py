"""What a bandit's arms differ by, although its weights followed the results (statistics.md 2.10).

Belongs here: estimates from daily batches with the probabilities they were drawn with. Does not:
the weights themselves (`allocation`), which leads are in a batch (dbt models).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from pipeline.analysis.comparisons import Comparison, Design, is_money
from pipeline.analysis.sequential import (
    always_valid_p,
    confidence_multiplier,
    log_evidence,
    tuning_rate,
)

# Plain means of arms are biased when arms that looked bad got fewer leads. Each day is therefore
# judged by a score that is right whatever the weights: what was known before, corrected by that
# day's outcomes over their probability. Days are weighted so that their spreads are alike (Hadad
# et al. 2021).

# Days at which the interval is narrowest, and before which there is none.
TUNED_FOR_DAYS = 28
LEAST_DAYS = 3
# What is believed of an arm before its first leads: half an outcome in ten.
_PRIOR_OUTCOMES, _PRIOR_LEADS = 0.5, 10.0
# Of an arm that nobody drew that day the probability is not recorded: the engine's own floor.
LEAST_PROBABILITY = 0.05


class Batch(NamedTuple):
    """One arm on one day of assignment: matured leads, their outcomes, how probable the arm was."""

    n: int
    sum: float
    probability: float


# By arm, then by day as text.
Batches = Mapping[str, Mapping[str, Batch]]


@dataclass(frozen=True)
class AdaptiveEffect:
    """Difference of two arms of a bandit, with an interval that holds at every look."""

    effect: float
    standard_error: float
    low: float
    high: float
    days: int

    @property
    def is_decisive(self) -> bool:
        """Whether zero is outside the interval."""
        return self.low > 0 or self.high < 0


def compare_batches(
    arm: Sequence[Batch], baseline: Sequence[Batch], totals: Sequence[int], alpha: float
) -> AdaptiveEffect | None:
    """Return the difference of two arms of shares of leads; None before the third day.

    Args:
        arm: its batches by day.
        baseline: those of the other arm, of the same days.
        totals: leads of all arms on each of these days.
        alpha: error over all looks.
    """
    days = [
        (one, two, total)
        for one, two, total in zip(arm, baseline, totals, strict=True)
        if total > 0
    ]
    if len(days) < LEAST_DAYS:
        return None
    scores, variances = [], []
    known = [(_PRIOR_OUTCOMES, _PRIOR_LEADS), (_PRIOR_OUTCOMES, _PRIOR_LEADS)]
    for one, two, total in days:
        parts = [_score(batch, total, *past) for batch, past in zip((one, two), known, strict=True)]
        scores.append(parts[0][0] - parts[1][0])
        variances.append(parts[0][1] + parts[1][1])
        known = [
            (outcomes + batch.sum, leads + batch.n)
            for batch, (outcomes, leads) in zip((one, two), known, strict=True)
        ]
    weights = [1 / math.sqrt(variance) for variance in variances]
    effect = sum(w * score for w, score in zip(weights, scores, strict=True)) / sum(weights)
    error = math.sqrt(len(days)) / sum(weights)
    rate = tuning_rate(TUNED_FOR_DAYS, alpha)
    reach = error * float(confidence_multiplier(len(days), rate, alpha))
    return AdaptiveEffect(effect, error, effect - reach, effect + reach, len(days))


def _score(batch: Batch, total: int, outcomes: float, leads: float) -> tuple[float, float]:
    """Return a day's estimate of an arm's rate, right whatever the weights, and its variance.

    Of the day's own outcomes it takes only what the days before did not expect.
    """
    mean = min(outcomes / leads, 1 - _PRIOR_OUTCOMES / _PRIOR_LEADS)
    weight = total * max(batch.probability, LEAST_PROBABILITY)
    return mean + (batch.sum - batch.n * mean) / weight, mean * (1 - mean) / weight


def read_batches(experiment_id: str, days: pl.DataFrame) -> Batches:
    """Return what each arm of a bandit did with the leads of each day, on the metric that decides.

    Args:
        experiment_id: the bandit.
        days: marts.experiment_arms.
    """
    rows = days.filter(
        (pl.col("experiment_id") == experiment_id)
        & pl.col("is_primary")
        & (pl.col("role") != "held_out")
    ).sort("assigned_on", "arm")
    found: dict[str, dict[str, Batch]] = {}
    for row in rows.iter_rows(named=True):
        batch = Batch(row["n"], float(row["sum"]), row["probability"] or 0.0)
        found.setdefault(row["arm"], {})[row["assigned_on"].isoformat()] = batch
    return found


def compare_bandit(design: Design, batches: Batches) -> list[Comparison]:
    """Return the arms of a bandit against its control, by scores that its weights do not bias.

    Args:
        design: its rule; money has no such scores yet.
        batches: what `read_batches` gives.
    """
    if not batches or is_money(design.metric):
        return []
    on = sorted({day for of_arm in batches.values() for day in of_arm})
    by_arm = {
        arm: [of_day.get(day, Batch(0, 0.0, 0.0)) for day in on] for arm, of_day in batches.items()
    }
    totals = [sum(batch.n for batch in of_day) for of_day in zip(*by_arm.values(), strict=True)]
    alpha = min(design.alpha, 2 * design.alpha / len(by_arm))
    control = design.control if design.control in by_arm else min(by_arm)
    found = []
    for arm in sorted(by_arm.keys() - {control}):
        effect = compare_batches(by_arm[arm], by_arm[control], totals, alpha)
        if effect:
            counts = [sum(batch.n for batch in by_arm[name]) for name in (arm, control)]
            found.append(_bandit_pair(design.metric, (arm, control), counts, effect, alpha))
    return found


def _bandit_pair(
    metric: str, names: tuple[str, str], counts: Sequence[int], found: AdaptiveEffect, alpha: float
) -> Comparison:
    """Return a comparison without plain means, which the weights have bent."""
    rate = tuning_rate(TUNED_FOR_DAYS, alpha)
    log_e = log_evidence(found.effect / found.standard_error, found.days, rate)
    return Comparison(
        metric=metric,
        arm=names[0],
        baseline=names[1],
        n_arm=counts[0],
        n_baseline=counts[1],
        mean_arm=None,
        mean_baseline=None,
        effect=found.effect,
        interval_low=found.low,
        interval_high=found.high,
        plain_95_low=None,
        plain_95_high=None,
        relative_lift=None,
        p_value=always_valid_p(log_e),
        log_e=log_e,
        is_decisive=found.is_decisive,
        is_against_held_out=False,
        is_primary=True,
        evidence={},
    )
