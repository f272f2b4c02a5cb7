"""Every pair of arms through the classes of gbstats, one after the other, as its users call them.

Belongs here: what gbstats computes of a pair under repeated looks. Does not: the draw of the sums,
the other side (`rows/closed_form.py`).
"""

from collections.abc import Sequence
from typing import Any

from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import ProportionStatistic, SampleMeanStatistic

# Of one arm: leads, sum, sum of squares; equal sums are those of a share of leads.
Sums = tuple[int, float, float]


def compare_all(
    metrics: Sequence[Sequence[Sums]], alpha: float, tuned_for: float
) -> list[tuple[float, float, float, float]]:
    """Return effect, interval and p-value of every two arms of every metric.

    Args:
        metrics: the arms of each metric; each is compared with those before it.
        alpha: the level of a pair.
        tuned_for: leads of a pair at which its interval is narrowest.
    """
    config = SequentialConfig(
        alpha=alpha, difference_type="absolute", sequential_tuning_parameter=tuned_for
    )
    found = []
    for arms in metrics:
        stats = [_statistic(*arm) for arm in arms]
        for first, baseline in enumerate(stats):
            for arm in stats[first + 1 :]:
                result = SequentialTwoSidedTTest(baseline, arm, config).compute_result()
                found.append((result.expected, *result.ci, result.p_value))
    return found


def _statistic(n: int, total: float, squares: float) -> Any:
    if total == squares:
        return ProportionStatistic(n=n, sum=total)
    return SampleMeanStatistic(n=n, sum=total, sum_squares=squares)
