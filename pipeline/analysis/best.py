"""Which of several arms is probably best, and what choosing another would cost, by quadrature.

Belongs here: probabilities to be best and expected losses from what is believed about each mean.
Does not: what is believed (`shrinkage` has a learned prior), what is done with it (`allocation`).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from pipeline.analysis.arm_stats import ArmStats

Floats = npt.NDArray[np.float64]

# Between neighbours of these quantiles of every arm the integrands are smooth, whether one arm is
# as narrow as a step for the others or not.
_LEVELS = np.array([1e-13, 1e-6, 1e-3, 0.02, 0.16, 0.5])
_DEVIATIONS = np.array([-8.0, -5.0, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0, 8.0])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


class Best(NamedTuple):
    """Of one arm: probability that its mean is the highest, and what choosing it costs on average.

    The loss is the mean of the best arm less its own, in units of the metric per lead.
    """

    probability: float
    loss: float


def rank_means(beliefs: Sequence[Any]) -> list[Best]:
    """Return how good each arm probably is, in the order given.

    Args:
        beliefs: independent frozen distributions of scipy, one for the mean of each arm.
    """
    quantiles = [[belief.ppf(_LEVELS), belief.isf(_LEVELS)] for belief in beliefs]
    points, weights, top = _grid(np.concatenate(quantiles, axis=None))
    below = np.stack([belief.cdf(points) for belief in beliefs])
    density = np.stack([belief.pdf(points) for belief in beliefs])
    means = np.array([float(belief.mean()) for belief in beliefs])
    chances, expected_best = _integrate(below, density, weights, top)
    return _told(chances, float(expected_best) - means)


def rank_normals(centres: Floats, deviations: Floats, parts: Floats) -> list[Best]:
    """Return the same for normal beliefs that hold given a common unknown: averaged over it.

    Args:
        centres: means, one row per value of the unknown, one column per arm.
        deviations: standard deviations of the arms, above zero.
        parts: probabilities of the values of the unknown.
    """
    edges = centres[:, :, None] + deviations[:, None] * _DEVIATIONS
    points, weights, top = _grid(edges.reshape(len(centres), -1))
    scores = (points[:, None, :] - centres[:, :, None]) / deviations[:, None]
    density = np.exp(-0.5 * scores**2) / (math.sqrt(2 * math.pi) * deviations[:, None])
    chances, expected_best = _integrate(special.ndtr(scores), density, weights, top)
    return _told(parts @ chances, parts @ (expected_best[:, None] - centres))


def _integrate(
    below: Floats, density: Floats, weights: Floats, top: Floats
) -> tuple[Floats, Floats]:
    """Return P(best) of every arm and the mean of the best; arms on the last axis but one."""
    arms = below.shape[-2]
    others = [np.delete(below, arm, axis=-2).prod(axis=-2) for arm in range(arms)]
    chances = np.sum(density * np.stack(others, axis=-2) * weights[..., None, :], axis=-1)
    # E max = top − ∫ P(all below x) dx, over a range that holds every arm.
    return chances, top - np.sum(weights * below.prod(axis=-2), axis=-1)


def _told(chances: Floats, losses: Floats) -> list[Best]:
    return [
        Best(float(chance), max(0.0, float(loss)))
        for chance, loss in zip(chances / chances.sum(), losses, strict=True)
    ]


def believe_shares(arms: Sequence[ArmStats]) -> list[Any]:
    """Return the beliefs about shares of leads under a uniform prior: Beta(1 + x, 1 + n − x)."""
    return [stats.beta(1 + arm.sum, 1 + max(0.0, arm.n - arm.sum)) for arm in arms]


def believe_money(arms: Sequence[ArmStats]) -> list[Any] | None:
    """Return the beliefs about means of money: Student's t with one variance for all arms.

    With a variance of its own an arm without a buyer would look certain. None while nothing can be
    told: an arm without leads, or no money that differs.
    """
    count = sum(arm.n for arm in arms)
    free = count - len(arms)
    spread = sum(arm.n * arm.variance for arm in arms)
    if free < 1 or spread <= 0 or min(arm.n for arm in arms) == 0:
        return None
    return [stats.t(free, arm.mean, (spread / free / arm.n) ** 0.5) for arm in arms]


def _grid(edges: Floats) -> tuple[Floats, Floats, Floats]:
    """Return nodes and weights of Gauss and Legendre between edges, and the last edge."""
    edges = np.sort(edges, axis=-1)
    middles, halves = (edges[..., 1:] + edges[..., :-1]) / 2, np.diff(edges, axis=-1) / 2
    shape = (*edges.shape[:-1], -1)
    points = middles[..., None] + halves[..., None] * _NODES
    weights = halves[..., None] * _WEIGHTS
    return points.reshape(shape), weights.reshape(shape), edges[..., -1]
