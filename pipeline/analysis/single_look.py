"""Two arms compared once, at an end that was fixed before: ordinary tests and intervals.

Belongs here: what is right for a single look (statistics.md 2.1). Does not: what stays right
however often one looks (`pairs`), whose boundary decides.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from pipeline.analysis.arm_stats import ArmStats

CONFIDENCE = 0.95
# Below it the normal approximation of a two-by-two table is not to be trusted.
LEAST_EXPECTED = 10
# Boschloo's search costs seconds with more leads; then a rare event is Poisson, and Fisher's exact
# test loses nothing that matters.
MOST_FOR_BOSCHLOO = 500

Interval = tuple[float, float]
Floats = npt.NDArray[np.float64]


def plain_interval(a: ArmStats, b: ArmStats, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the interval of the difference of means, a minus b; None where there is none."""
    low, high = plain_intervals(ArmStats.columns([a]), ArmStats.columns([b]), confidence)
    return None if np.isnan(low[0]) else (float(low[0]), float(high[0]))


def plain_intervals(
    a: ArmStats, b: ArmStats, confidence: float = CONFIDENCE
) -> tuple[Floats, Floats]:
    """Return the intervals of many differences of means, a minus b; NaN where there is none.

    Newcombe's for shares of leads, Welch's for amounts. Never `method="score"`: for differences it
    is wrong in statsmodels (statsmodels#10269).
    """
    effect = a.mean - b.mean
    low, high = np.full((2, len(effect)), np.nan)
    is_share = a.is_binary & b.is_binary
    rows = np.flatnonzero(is_share & (a.n > 0) & (b.n > 0))
    if len(rows):
        low[rows], high[rows] = confint_proportions_2indep(
            a.sum[rows], a.n[rows], b.sum[rows], b.n[rows], method="newcomb", alpha=1 - confidence
        )
    rows = np.flatnonzero(~is_share & (a.n > 1) & (b.n > 1))
    half = _welch_reach(a.rows(rows), b.rows(rows), confidence)
    low[rows], high[rows] = effect[rows] - half, effect[rows] + half
    # Rounding in the library can leave the estimate outside by 1e-17 where nobody converted.
    return np.minimum(low, effect), np.maximum(high, effect)


def plain_p(a: ArmStats, b: ArmStats) -> float:
    """Return the two-sided p-value of the difference for a single look; 1 where nothing differs.

    Shares of leads: the pooled z-test, an exact test where fewer than ten events or non-events are
    expected in an arm. Amounts: Welch's test.
    """
    if not (a.n and b.n):
        return 1.0
    if a.is_binary and b.is_binary:
        return _shares_p(a, b)
    if min(a.n, b.n) < 2 or a.variance + b.variance <= 0:  # noqa: PLR2004  a spread needs two
        return 1.0
    found = stats.ttest_ind_from_stats(
        a.mean, _deviation(a), a.n, b.mean, _deviation(b), b.n, equal_var=False
    )
    return float(found.pvalue)


def lift_interval(a: ArmStats, b: ArmStats, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the interval of a's mean relative to b's, less 1: for showing, never for deciding.

    Shares of leads: by the log of the ratio, with events in both arms. Amounts: by the delta
    method, whose error rate is wrong at low counts; that is why nothing is decided by it.
    """
    if not (a.n and b.n) or min(a.sum, b.sum) <= 0:
        return None
    if a.is_binary and b.is_binary:
        low, high = confint_proportions_2indep(
            a.sum, a.n, b.sum, b.n, compare="ratio", method="log", alpha=1 - confidence
        )
        return float(low) - 1, float(high) - 1
    if min(a.n, b.n) < 2 or a.variance + b.variance <= 0:  # noqa: PLR2004  a spread needs two
        return None
    free = _welch_freedom(a, b)
    spread = a.variance / (a.n - 1) + b.variance / (b.n - 1) * (a.mean / b.mean) ** 2
    half = float(stats.t.ppf(0.5 + confidence / 2, free)) * math.sqrt(spread) / b.mean
    lift = a.mean / b.mean - 1
    return lift - half, lift + half


def _shares_p(a: ArmStats, b: ArmStats) -> float:
    events = a.sum + b.sum
    others = a.n + b.n - events
    if not (events and others):
        return 1.0
    if min(events, others) * min(a.n, b.n) / (a.n + b.n) >= LEAST_EXPECTED:
        return float(proportions_ztest([a.sum, b.sum], [a.n, b.n])[1])
    table = np.array([[a.sum, b.sum], [a.n - a.sum, b.n - b.sum]]).round().astype(int)
    exact = stats.boschloo_exact if a.n + b.n <= MOST_FOR_BOSCHLOO else stats.fisher_exact
    return min(1.0, float(exact(table).pvalue))


def _welch_reach(a: ArmStats, b: ArmStats, confidence: float) -> Floats:
    """Return half of Welch's interval with Satterthwaite's freedom; NaN without spread."""
    with np.errstate(invalid="ignore"):
        error = np.sqrt(a.variance / (a.n - 1) + b.variance / (b.n - 1))
        reach: Floats = special.stdtrit(_welch_freedom(a, b), 0.5 + confidence / 2) * error
    return reach


def _welch_freedom(a: ArmStats, b: ArmStats) -> Any:
    """Return Satterthwaite's degrees of freedom; NaN where nothing varies."""
    parts = [arm.variance / (arm.n - 1) for arm in (a, b)]
    whole = parts[0] + parts[1]
    shares = [part / whole for part in parts]
    return 1 / (shares[0] ** 2 / (a.n - 1) + shares[1] ** 2 / (b.n - 1))


def _deviation(arm: ArmStats) -> float:
    return math.sqrt(arm.variance * arm.n / (arm.n - 1))
