"""Honest effect sizes: what an arm that looks best probably gains (statistics.md 2.4).

Belongs here: the prior learned from the workspace's own tests, lifts shrunk by it, who is probably
best. Does not: deciding, which never rests on a prior here (`experiments`).

Whoever wins among noisy arms has usually been lucky as well: claimed lifts are too large by half
and more. Effects of earlier tests of the same kind tell how large effects are at all; that prior is
in units of the base rate, so that tests of rare and of common outcomes speak of the same thing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from pipeline.analysis.arm_stats import ArmStats, Numbers
from pipeline.analysis.best import Best, rank_normals

Floats = npt.NDArray[np.float64]

# Until there are so many tests of a kind, effects are taken to spread by a tenth of the base rate.
LEAST_TESTS = 20
FALLBACK_SPREAD = 0.10
_NARROWEST, _WIDEST = 1e-3, 2.0
_HALF = float(special.ndtri(0.975))
_NODES, _PARTS = np.polynomial.hermite_e.hermegauss(16)


@dataclass(frozen=True)
class Prior:
    """How large effects are: true relative effects spread around zero by `spread` (a deviation)."""

    spread: float = FALLBACK_SPREAD
    count_tests: int = 0

    @property
    def is_learned(self) -> bool:
        """Whether it comes from the workspace's own tests."""
        return self.count_tests >= LEAST_TESTS


@dataclass(frozen=True)
class Shrunk:
    """What is believed about an effect, or many: its mean, which is shown, and its deviation."""

    effect: Numbers
    deviation: Numbers

    @property
    def low(self) -> Numbers:
        """Lower end of the interval that holds the truth in 95 of 100 such tests."""
        return self.effect - _HALF * self.deviation

    @property
    def high(self) -> Numbers:
        """Upper end of that interval."""
        return self.effect + _HALF * self.deviation

    @property
    def probability_better(self) -> Numbers:
        """Probability that the effect is above zero."""
        return special.ndtr(self._score)

    @property
    def loss(self) -> Numbers:
        """What choosing the arm costs on average against the better of the two."""
        score = self._score
        density = np.exp(-0.5 * score * score) / math.sqrt(2 * math.pi)
        return np.maximum(0.0, self.deviation * (density - score * special.ndtr(-score)))

    @property
    def _score(self) -> Numbers:
        # Without a deviation the effect is zero as well.
        return self.effect / (self.deviation + (self.deviation == 0))

    def turned(self) -> "Shrunk":
        """Return the same effect seen from the other arm."""
        return Shrunk(-self.effect, self.deviation)


def learn_prior(effects: Sequence[float], errors: Sequence[float]) -> Prior:
    """Return the prior of a kind of test from its finished tests, by marginal maximum likelihood.

    The likelihood of d ~ N(0, τ² + se²) does not mind that tests stopped when they looked good;
    estimators of moments do, by 6 to 8 %.

    Args:
        effects: relative effects, one per comparison with a control.
        errors: their standard errors, in the same unit.
    """
    usable = [(d, s) for d, s in zip(effects, errors, strict=True) if s > 0 and math.isfinite(d)]
    if len(usable) < LEAST_TESTS:
        return Prior(count_tests=len(usable))
    squares = np.array([d * d for d, _ in usable])
    variances = np.array([s * s for _, s in usable])

    def surprise(log_spread: float) -> float:
        total = math.exp(2 * log_spread) + variances
        return float(np.sum(np.log(total) + squares / total))

    found = optimize.minimize_scalar(
        surprise, bounds=(math.log(_NARROWEST), math.log(_WIDEST)), method="bounded"
    )
    return Prior(math.exp(found.x), len(usable))


def shrink(effect: Numbers, error: Numbers, spread: Numbers) -> Shrunk:
    """Return the posterior of an effect measured with an error, whose prior is N(0, spread²).

    An infinite spread is a flat prior: nothing is shrunk.
    """
    with np.errstate(divide="ignore"):
        factor = 1 / (1 + np.divide(error, spread) ** 2)
    return Shrunk(factor * effect, np.sqrt(factor) * error)


def base_rate(arms: Sequence[ArmStats]) -> Numbers:
    """Return what relative effects are relative to: the plain mean of the arms' means.

    Not the control's alone, whose bad luck would make effect and unit wrong together.
    """
    return sum(arm.mean for arm in arms) / len(arms) if arms else 0.0


def rank_arms(arms: Sequence[ArmStats], spread: float) -> list[Best]:
    """Return probability to be best and expected loss of each arm under the prior, in their order.

    The means of the arms spread around an unknown common level so that every difference of two has
    the prior N(0, spread²); for two arms this is `shrink` of their difference. Arms must be burned
    in: their means are taken as normal.
    """
    means = np.array([arm.mean for arm in arms])
    noise = np.array([arm.variance / arm.n for arm in arms])
    between = spread**2 / 2
    weights = 1 / (between + noise)
    level, uncertainty = np.average(means, weights=weights), 1 / math.sqrt(weights.sum())
    kept = between * weights
    # Given the level, arms are independent: integrate over it by Gauss and Hermite.
    levels = (level + uncertainty * _NODES)[:, None]
    centres = levels + kept * (means - levels)
    return rank_normals(centres, np.sqrt(kept * noise), _PARTS / _PARTS.sum())
