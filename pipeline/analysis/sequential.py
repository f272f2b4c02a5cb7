"""Error control under repeated looks: confidence sequences, spending boundaries, exact e-values.

Belongs here: formulas that take numbers and give boundaries, evidence and p-values.
Does not: what is compared (`pairs`), when a winner is named (`experiments`).
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from pipeline.analysis.arm_stats import Numbers

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Simpson's rule needs an odd number of nodes; statistics.md 2.2 asks for 801 or more.
NODES = 801
ROWS_AT_ONCE = 32
# A boundary above 9 standard errors is never crossed by chance and would only stretch the grid.
HIGHEST_MULTIPLIER = 9.0
WIDEST_GRID = 8.0
# A look that adds less than this part of the information repeats the look before it. Below it the
# increment would be finer than the grid.
LEAST_NEW_INFORMATION = 0.001


# --- asymptotic confidence sequence (Waudby-Smith et al., arXiv 2103.06476) -----------------------


def tuning_rate(n_optimal: Numbers, alpha: Numbers) -> Numbers:
    """Return the exact ρ² (by Lambert W) that makes the sequence narrowest at `n_optimal`."""
    # Levels are few, and Lambert W is slow.
    levels, rows = np.unique(alpha, return_inverse=True)
    roots = special.lambertw(-(levels**2) * np.exp(levels**2 - 1), k=-1).real
    return (-roots[rows.reshape(np.shape(alpha))] - 1) / n_optimal


def confidence_multiplier(n: Numbers, rate: Numbers, alpha: Numbers) -> Numbers:
    """Return the half-width of the always-valid interval after `n` units, in standard errors."""
    with np.errstate(divide="ignore"):
        t = n * rate
        return np.sqrt(np.divide(t + 1, t) * 2 * np.log(np.sqrt(t + 1) / alpha))


def log_evidence(z: Numbers, n: Numbers, rate: Numbers) -> Numbers:
    """Return the log e-value of the two-sided normal mixture at `z` standard errors."""
    t = n * rate
    return z * z * t / (2 * (t + 1)) - np.log(t + 1) / 2


def always_valid_p(log_e: Numbers, smallest_before: Numbers = 1.0) -> Numbers:
    """Return the always-valid p-value: the smallest 1/e of all looks so far."""
    return np.minimum(smallest_before, np.exp(np.minimum(-log_e, 0.0)))


def confidence_interval(
    estimate: Numbers, standard_error: Numbers, multiplier: Numbers
) -> tuple[Numbers, Numbers]:
    """Return estimate ± multiplier × standard error."""
    half = multiplier * standard_error
    return estimate - half, estimate + half


# --- group-sequential boundary (Lan & DeMets 1983; Armitage, McPherson & Rowe recursion) ----------


def spend_obrien_fleming(fraction: float, alpha: float) -> float:
    """Return the error spent by this fraction of the plan, O'Brien-Fleming type, both sides."""
    if fraction <= 0:
        return 0.0
    root = -special.ndtri(alpha / 4) / math.sqrt(min(fraction, 1.0))
    return float(4 * special.ndtr(-root))


def spending_p(largest_score: float) -> float:
    """Return a p-value valid at any looks up to the plan, for the largest |z|×√fraction so far.

    By the reflection principle a path leaves ±b before the plan is full with probability at most
    4(1 − Φ(b)): this is where the O'Brien-Fleming spending function comes from.
    """
    return float(min(1.0, 4 * special.ndtr(-largest_score)))


@dataclass(frozen=True)
class BoundaryState:
    """What one look leaves to the next: boundary, spent error and the density of paths inside.

    `information` is in units of leads; the score of a path is z × √information. `density` holds the
    right half of the symmetric density on an even grid from 0 to `half_width`.
    """

    information: float = 0.0
    spent: float = 0.0
    multiplier: float = math.inf
    half_width: float = 0.0
    density: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain values; the nodes as base64 of little-endian doubles."""
        nodes = np.asarray(self.density, dtype="<f8").tobytes()
        return {
            "information": self.information,
            "spent": self.spent,
            "multiplier": self.multiplier if math.isfinite(self.multiplier) else None,
            "half_width": self.half_width,
            "density": base64.b64encode(nodes).decode(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "BoundaryState":
        """Read what `to_json` wrote."""
        nodes = np.frombuffer(base64.b64decode(values["density"]), dtype="<f8")
        multiplier = values["multiplier"]
        return cls(
            information=float(values["information"]),
            spent=float(values["spent"]),
            multiplier=math.inf if multiplier is None else float(multiplier),
            half_width=float(values["half_width"]),
            density=tuple(nodes.tolist()),
        )


# The pairs of a balanced experiment, and the two tables made from one look, share their states.
@lru_cache(maxsize=512)
def next_look(state: BoundaryState, information: float, spent: float) -> BoundaryState:
    """Take a look at `information` leads with `spent` error in all so far; return the new state.

    The new state's `multiplier` is the boundary for |z| at this look: infinite when no error is
    left to spend, that of the look before when (nearly) nothing is new. Boundaries of past looks
    are never recomputed; only the density of paths that stayed inside is carried on.
    """
    if information - state.information < LEAST_NEW_INFORMATION * max(state.information, 1e-9):
        return state
    increment = spent - state.spent
    if increment <= 0:
        return BoundaryState(
            state.information, state.spent, math.inf, state.half_width, state.density
        )
    if not state.density:
        return _first_look(information, spent)
    paths = _paths(state)
    width = math.sqrt(information - state.information)
    multiplier = _solve_boundary(paths, width, information, increment)
    half_width = min(multiplier, WIDEST_GRID) * math.sqrt(information)
    nodes = np.linspace(0.0, half_width, NODES // 2 + 1)
    density = _carry_on(paths, nodes, width)
    return BoundaryState(information, spent, multiplier, half_width, tuple(density.tolist()))


def _carry_on(paths: tuple[Floats, Floats], nodes: Floats, width: float) -> Floats:
    """Return the density at new nodes of paths that made one more normal step of this width."""
    scale = math.sqrt(0.5) / width
    old, new = paths[0] * scale, nodes * scale
    found = np.empty(len(new))
    # In pieces that stay in the processor's cache: ten times as fast as the whole table at once.
    table = np.empty((ROWS_AT_ONCE, len(old)))
    for start in range(0, len(new), ROWS_AT_ONCE):
        part = new[start : start + ROWS_AT_ONCE, None]
        kernel = np.subtract(part, old, out=table[: len(part)])
        np.multiply(kernel, kernel, out=kernel)
        np.negative(kernel, out=kernel)
        np.exp(kernel, out=kernel)
        found[start : start + ROWS_AT_ONCE] = kernel @ paths[1]
    return found / (width * math.sqrt(2 * math.pi))


def _first_look(information: float, spent: float) -> BoundaryState:
    """Return the state after a first look, when paths are still normal."""
    multiplier = min(float(-special.ndtri(max(spent, 1e-17) / 2)), HIGHEST_MULTIPLIER)
    half_width = min(multiplier, WIDEST_GRID) * math.sqrt(information)
    nodes = np.linspace(0.0, half_width, NODES // 2 + 1)
    density = np.exp(-(nodes**2) / (2 * information)) / math.sqrt(2 * math.pi * information)
    return BoundaryState(information, spent, multiplier, half_width, tuple(density.tolist()))


def _paths(state: BoundaryState) -> tuple[Floats, Floats]:
    """Return the whole symmetric grid and the probability at each node (Simpson)."""
    half = np.asarray(state.density)
    density = np.concatenate([half[:0:-1], half])
    nodes = np.linspace(-state.half_width, state.half_width, len(density))
    weights = np.full(len(nodes), 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return nodes, density * weights * (nodes[1] - nodes[0]) / 3


def _solve_boundary(
    paths: tuple[Floats, Floats], width: float, information: float, increment: float
) -> float:
    """Return the multiplier that paths still inside cross with probability `increment`."""
    nodes, probabilities = paths
    root = math.sqrt(information)

    def excess(multiplier: float) -> float:
        beyond = special.ndtr((nodes - multiplier * root) / width)
        return float(2 * np.dot(probabilities, beyond)) - increment

    if excess(HIGHEST_MULTIPLIER) > 0:
        return HIGHEST_MULTIPLIER
    return float(optimize.brentq(excess, 0.0, HIGHEST_MULTIPLIER, xtol=1e-10))


# --- exact evidence from counts, many hypotheses at once ------------------------------------------


def dirichlet_log_e(
    counts: Sequence[float], shares: Sequence[float], concentration: float
) -> float:
    """Return the log e-value against "each unit falls in group i with probability shares[i]".

    Exact at any number of looks (Lindon & Malek 2022). Shares are positive and sum to 1. Given
    counts of conversions by arm, it tests that the arms convert alike.
    """
    whole = np.zeros(len(counts), dtype=np.int64)
    return float(dirichlet_log_es(np.array(counts), np.array(shares), whole, concentration)[0])


def dirichlet_log_es(counts: Floats, shares: Floats, split: Ints, concentration: float) -> Floats:
    """Return the same of many splits at once; `split` numbers the one of each row, from 0."""
    prior = concentration * shares
    parts = special.gammaln(prior + counts) - special.gammaln(prior) - counts * np.log(shares)
    weight, units = np.bincount(split, prior), np.bincount(split, counts)
    log_es: Floats = special.gammaln(weight) - special.gammaln(weight + units)
    return log_es + np.bincount(split, parts)


def rejected_by_evidence(log_es: Sequence[float], q: float) -> list[bool]:
    """Return which hypotheses e-BH rejects at false discovery rate `q` (Wang & Ramdas 2022)."""
    family = np.zeros(len(log_es), dtype=np.int64)
    found: list[bool] = reject_families(np.array(log_es, dtype=np.float64), family, q).tolist()
    return found


def reject_families(log_es: Floats, family: Ints, q: float) -> Bools:
    """Return the same of many families; `family` numbers the one of each hypothesis, from 0.

    The k largest are rejected, k the largest number with e_(k) ≥ m / (q k).
    """
    size = np.bincount(family)
    # What is no evidence at all comes last and is never rejected.
    some = np.flatnonzero(log_es > -np.inf)
    order = some[np.lexsort((-log_es[some], family[some]))]
    count = np.bincount(family[some], minlength=len(size))
    rank = np.arange(1, len(order) + 1) - (np.cumsum(count) - count)[family[order]]
    is_passing = log_es[order] >= np.log(size[family[order]] / (q * rank))
    least = np.full(len(size), np.inf)
    np.minimum.at(least, family[order][is_passing], log_es[order][is_passing])
    return np.asarray(log_es >= least[family])
