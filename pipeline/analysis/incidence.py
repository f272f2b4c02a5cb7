"""How many have come to which end by which day, when ends compete and some came in late.

Belongs here: Aalen-Johansen shares, restricted means and their errors, from counts per day; tests
of several groups. Does not: which ends there are (`conversions`, `delays`), frames of the marts.

Somebody who unsubscribes will not convert through the sequence: taking them as merely not observed
any longer, as 1 - Kaplan-Meier does, tells what would be if nobody could unsubscribe. Where nothing
competes, all of this is Kaplan-Meier with Greenwood's variance.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special
from statsmodels.duration.survfunc import survdiff
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
OPEN = ""
"""The end of whom nothing has ended yet: observed that long, and no longer."""


_LARGEST = 500.0


@dataclass(frozen=True)
class Risk:
    """People at risk and ends, for each time at which there is an end.

    Attributes:
        times: ascending.
        at_risk: people observed just before each time whom nothing has ended.
        ends: one row per cause, one column per time.
        causes: names of the rows.
        last: the largest time that somebody was observed for.
        count: people in all.
    """

    times: Floats
    at_risk: Floats
    ends: Floats
    causes: tuple[str, ...]
    last: float
    count: int

    @property
    def hazards(self) -> Floats:
        """Share of those at risk that each cause takes at each time."""
        return np.asarray(self.ends / self.at_risk)

    @property
    def before(self) -> Floats:
        """Share whom nothing has ended just before each time."""
        going_on = np.cumprod(1 - np.minimum(self.hazards.sum(axis=0), 1.0))
        return np.concatenate([[1.0], going_on[:-1]])[: len(self.times)]

    def steps(self, cause: str) -> Floats:
        """Return the share of all that a cause takes at each time."""
        return np.asarray(self.before * self.hazards[self.causes.index(cause)])

    def shares(self, cause: str) -> tuple[Floats, Floats]:
        """Return the share that a cause has taken by each time, and its standard error."""
        share = np.minimum(np.cumsum(self.steps(cause)), 1.0)
        size = len(self.times)
        # What is still to come by the time of the row, after the time of the column.
        rest = np.maximum(share[:, None] - share[None, :], 0.0)
        until = np.tri(size)
        return share, np.sqrt(self._variance(cause, until, rest * until))

    def restricted_mean(self, horizon: float, cause: str) -> tuple[float, float]:
        """Return the mean time without this end, up to a horizon, and its standard error."""
        left = np.maximum(horizon - self.times, 0.0)
        lost = self.steps(cause) * left
        rest = lost.sum() - np.cumsum(lost)
        variance = self._variance(cause, left[None, :], np.maximum(rest, 0.0)[None, :])
        return float(horizon - lost.sum()), math.sqrt(variance[0])

    def quantile(self, share: float, cause: str, *, of_ends: bool) -> float | None:
        """Return the first time by which this share has come to the end, if it ever has.

        Args:
            share: 0 to 1.
            cause: which end.
            of_ends: share of those that come to this end within what was observed: conditional, and
                earlier the shorter the time observed.
        """
        taken = np.cumsum(self.steps(cause))
        if not len(taken) or taken[-1] <= 0:
            return None
        goal = share * (taken[-1] if of_ends else 1.0)
        reached = np.flatnonzero(taken >= goal - 1e-12)
        return float(self.times[reached[0]]) if len(reached) else None

    def _variance(self, cause: str, gain: Floats, rest: Floats) -> Floats:
        """Return variances by the delta method from the multinomial variance of the hazards.

        Args:
            cause: which end.
            gain: of one end of this cause at the time of the column, per result (row).
            rest: part of each result that comes after the time of the column.
        """
        hazards = self.hazards
        total = np.minimum(hazards.sum(axis=0), 1.0)
        own = hazards[self.causes.index(cause)]
        going_on = np.where(total < 1, 1 - total, 1.0)
        # One more end of any cause loses `lost`; one of this cause wins `won` beside.
        lost = rest / going_on
        won = self.before * gain
        spread = (
            won**2 * own * (1 - own)
            - 2 * won * lost * own * (1 - total)
            + lost**2 * total * (1 - total)
        )
        return np.asarray(np.maximum(spread / self.at_risk, 0.0).sum(axis=1))


def count_risk(
    times: npt.ArrayLike,
    ends: Sequence[str],
    counts: npt.ArrayLike | None = None,
    entries: npt.ArrayLike | None = None,
) -> Risk:
    """Count who is at risk at each time at which something ends.

    Args:
        times: when each was ended, or observed last.
        ends: what ended them; OPEN for nobody and nothing.
        counts: how many people each entry stands for; one by default.
        entries: the time after which each was observed, where that is above 0: an end before it
            could not have been seen (late entry). 0 is from the very beginning.
    """
    stop = np.asarray(times, dtype=float)
    number = np.ones_like(stop) if counts is None else np.asarray(counts, dtype=float)
    entry = np.zeros_like(stop) if entries is None else np.asarray(entries, dtype=float)
    entry = np.where(entry > 0, entry, -np.inf)
    seen = stop > entry
    kinds = np.asarray(ends, dtype=object)[seen]
    stop, number, entry = stop[seen], number[seen], entry[seen]
    causes = tuple(sorted(set(kinds.tolist()) - {OPEN}))
    at = np.unique(stop[kinds != OPEN]) if len(stop) else np.empty(0)
    ended = np.zeros((len(causes), len(at)))
    for row, cause in enumerate(causes):
        own = kinds == cause
        ended[row] = np.bincount(np.searchsorted(at, stop[own]), number[own], minlength=len(at))
    return Risk(
        times=at,
        at_risk=_weight(entry, number, at) - _weight(stop, number, at),
        ends=ended,
        causes=causes,
        last=float(stop.max()) if len(stop) else 0.0,
        count=round(number.sum()),
    )


def _weight(values: Floats, number: Floats, at: Floats) -> Floats:
    """Return how many people have a value below each time."""
    order = np.argsort(values, kind="stable")
    summed = np.concatenate([[0.0], np.cumsum(number[order])])
    return np.asarray(summed[np.searchsorted(values[order], at, side="left")])


def log_log_interval(risk: Risk, share: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Return 95 % intervals of shares, by the log of the log of what is left."""
    left = np.clip(1 - share, 1e-300, 1 - 1e-16)
    half = special.ndtri(0.5 + CONFIDENCE / 2) * error / (left * -np.log(left))
    spread = np.exp(np.minimum(half, _LARGEST))
    low, high = 1 - left ** (1 / spread), 1 - left**spread
    if len(share) and share[-1] >= 1 - 1e-12:
        # Everybody at risk has come to this end: the variance is gone, what was certain is not.
        number = risk.at_risk[-1]
        everybody = proportion_confint(number, number, 1 - CONFIDENCE, method="beta")
        low[-1] = low[-2] if len(low) > 1 else everybody[0]
        high[-1] = 1.0
    return np.minimum(np.clip(low, 0, 1), share), np.maximum(np.clip(high, 0, 1), share)


def tell_curve(risk: Risk, cause: str) -> dict[str, npt.NDArray[Any]]:
    """Return columns with one row per time at which somebody has come to this end.

    The hazard of a time is `count_reached` of `n_at_risk`; shares have log-log intervals, pointwise
    at 95 %.
    """
    share, error = risk.shares(cause)
    low, high = log_log_interval(risk, share, error)
    ends = risk.ends[risk.causes.index(cause)]
    kept = ends > 0
    return {
        "day": risk.times[kept].astype(np.int64),
        "n_at_risk": np.rint(risk.at_risk[kept]).astype(np.int64),
        "count_reached": np.rint(ends[kept]).astype(np.int64),
        "share": share[kept],
        "interval_low": low[kept],
        "interval_high": high[kept],
    }


def difference_p(one: tuple[float, float], other: tuple[float, float]) -> float | None:
    """Return the p-value of the difference of two restricted means; None without any error.

    Args:
        one: mean and standard error of a group.
        other: of another.
    """
    error = math.hypot(one[1], other[1])
    return float(2 * special.ndtr(-abs(one[0] - other[0]) / error)) if error > 0 else None


def compare_groups(
    times: npt.ArrayLike, is_ended: npt.ArrayLike, groups: Sequence[str]
) -> tuple[float, float, Mapping[tuple[str, str], float]]:
    """Return chi-square and p of the log-rank test of all groups, and Holm's p of each pair.

    It asks whether ends come at the same pace, not whether as many come in the end: of two delays
    the shorter is always faster.

    Args:
        times: when each was ended, or observed last.
        is_ended: whether each was ended.
        groups: group of each; two or more of them.
    """
    time, ended, names = np.asarray(times), np.asarray(is_ended, dtype=int), np.asarray(groups)
    statistic, p_value = survdiff(time, ended, names)
    pairs = list(combinations(sorted(set(names.tolist())), 2))
    plain = []
    for pair in pairs:
        kept = np.isin(names, pair)
        plain.append(survdiff(time[kept], ended[kept], names[kept])[1])
    holm = multipletests(np.nan_to_num(plain, nan=1.0), method="holm")[1]
    return float(statistic), float(p_value), dict(zip(pairs, holm.tolist(), strict=True))
