"""Sums of two numbers per unit, turned into the sums of one: covariates, ratios, clusters, caps.

Belongs here: what makes statistics.md 2.7 and 2.8 of the same sums that everything else is made of,
so that every decision takes them like plain outcomes. Does not: comparing (`pairs`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from pipeline.analysis.arm_stats import ArmStats, Numbers


@dataclass(frozen=True)
class PairedSums:
    """Sums over n units of an outcome y and of a second number x, of one arm or column by column.

    Add two to merge their units.
    """

    n: Numbers = 0
    y: Numbers = 0.0
    yy: Numbers = 0.0
    x: Numbers = 0.0
    xx: Numbers = 0.0
    xy: Numbers = 0.0

    def __add__(self, other: "PairedSums") -> "PairedSums":
        """Return the sums of both groups of units together."""
        return PairedSums(
            self.n + other.n,
            self.y + other.y,
            self.yy + other.yy,
            self.x + other.x,
            self.xx + other.xx,
            self.xy + other.xy,
        )

    @property
    def outcome(self) -> ArmStats:
        """The outcome alone, without the second number."""
        return ArmStats(self.n, self.y, self.yy)


def adjust_for_covariate(arms: Sequence[PairedSums]) -> list[ArmStats]:
    """Return the outcomes of the arms of one metric without what a covariate explains (CUPED)."""
    columns = PairedSums(
        *(np.array([getattr(arm, field.name) for arm in arms]) for field in fields(PairedSums))
    )
    found = adjust_groups(columns, np.zeros(len(arms), dtype=np.int64))
    return [
        ArmStats(arm.n, total, squares)
        for arm, total, squares in zip(
            arms, found.sum.tolist(), found.sum_squares.tolist(), strict=True
        )
    ]


def adjust_groups(arms: PairedSums, group: npt.NDArray[np.int64]) -> ArmStats:
    """Return the outcomes without what a covariate from before the assignment explains (CUPED).

    The slope is pooled within arms, so that an effect is not taken for it. Means stay comparable;
    their variance falls by the share ρ² (Deng et al. 2013). Without a covariate that varies nothing
    changes.

    Args:
        arms: columns, one row per arm.
        group: numbers the metric of each arm, from 0; each has a slope of its own.
    """
    per_arm = np.maximum(arms.n, 1)
    within = np.bincount(group, arms.xx - arms.x**2 / per_arm)
    shared = np.bincount(group, arms.xy - arms.x * arms.y / per_arm)
    units = np.maximum(np.bincount(group, arms.n), 1)
    is_varied = within > 0
    slope = (np.where(is_varied, shared, 0.0) / np.where(is_varied, within, 1.0))[group]
    added = slope * (np.bincount(group, arms.x) / units)[group]
    # The sums of y − slope × (x − level).
    rest = arms.y - slope * arms.x
    squares = arms.yy - 2 * slope * arms.xy + slope**2 * arms.xx
    return ArmStats(
        arms.n,
        rest + arms.n * added,
        np.maximum(0.0, squares + 2 * added * rest + arms.n * added**2),
    )


def ratio_of_sums(clusters: PairedSums) -> ArmStats:
    """Return a ratio Σy/Σx over clusters as the mean of as many linearised values.

    Of leads drawn by account, y is an account's outcome and x its leads: the mean is then the rate
    per lead, and its variance that of the delta method over accounts (Deng, Knoblich & Lu 2018).
    """
    if not clusters.n or clusters.x <= 0:
        return ArmStats(clusters.n)
    ratio, size = clusters.y / clusters.x, clusters.x / clusters.n
    residual = clusters.yy - 2 * ratio * clusters.xy + ratio**2 * clusters.xx
    squares = max(0.0, residual) / size**2
    return ArmStats(clusters.n, clusters.n * ratio, clusters.n * ratio**2 + squares)
