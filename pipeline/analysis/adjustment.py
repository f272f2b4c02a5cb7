"""Sums of two numbers per unit, turned into the sums of one: covariates, ratios, clusters, caps.

Belongs here: what makes statistics.md 2.7 and 2.8 of the same sums that everything else is made of,
so that every decision takes them like plain outcomes. Does not: comparing (`comparisons`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.analysis.arm_stats import ArmStats


@dataclass(frozen=True)
class PairedSums:
    """Sums over n units of an outcome y and of a second number x; add two to merge their units."""

    n: int = 0
    y: float = 0.0
    yy: float = 0.0
    x: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

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
    """Return the outcomes without what a covariate from before the assignment explains (CUPED).

    The slope is pooled within arms, so that an effect is not taken for it. Means stay comparable;
    their variance falls by the share ρ² (Deng et al. 2013). Without a covariate that varies nothing
    changes.
    """
    within = sum(arm.xx - arm.x**2 / arm.n for arm in arms if arm.n)
    shared = sum(arm.xy - arm.x * arm.y / arm.n for arm in arms if arm.n)
    count = sum(arm.n for arm in arms)
    if within <= 0:
        return [arm.outcome for arm in arms]
    slope, level = shared / within, sum(arm.x for arm in arms) / count
    return [_adjusted(arm, slope, level) for arm in arms]


def _adjusted(arm: PairedSums, slope: float, level: float) -> ArmStats:
    """Return the sums of y − slope × (x − level)."""
    rest = arm.y - slope * arm.x
    squares = arm.yy - 2 * slope * arm.xy + slope**2 * arm.xx
    added = slope * level
    return ArmStats(
        arm.n, rest + arm.n * added, max(0.0, squares + 2 * added * rest + arm.n * added**2)
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
