"""Harm of an arm whose share of the leads changed from day to day, as that of a bandit's does.

Belongs here: the exact evidence of statistics.md 2.9, day by day. Does not: one share for the whole
test, limits of senders, the status of an arm (`guardrails`).

Sums of arms would differ in when their leads came: a day of many bounces would be held against the
arm that got most leads on it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

# Of one day's leads, those of an arm with the bad event are a draw from all with it: binomial with
# the arm's share of that day at most (draws without replacement spread less; Hoeffding 1963), and
# days multiply. What later weights betray of leads whose bad event is yet to come is neglected.

# Odds ratios that are mixed over. The mixture is one of this many points, so it is exact as it is.
_POINTS = 4000


class DayCount(NamedTuple):
    """Leads that one arm drew on a day, and how many of them have had the bad event so far."""

    n: int
    bad: int


def log_e_over_days(
    arm: Sequence[DayCount], control: Sequence[DayCount], chance: float, concentration: float
) -> float:
    """Return the log e-value against "on no day is the arm worse than the control".

    Evidence for one odds ratio above 1 on all days, mixed as `one_sided_log_e` mixes shares; with
    one share on all days the two are the same.

    Args:
        arm: its days.
        control: the same days of the control.
        chance: share of the arm in both, as declared: where the mixture lies.
        concentration: how near to it.
    """
    counts = np.array([[*one, *other] for one, other in zip(arm, control, strict=True)])
    counts = counts.reshape(-1, 4)
    # A day that only one of them was drawn on compares nothing.
    n, bad, control_n, control_bad = counts[(counts[:, 0] > 0) & (counts[:, 2] > 0)].T
    if not (bad + control_bad).any() or not 0 < chance < 1:
        return 0.0
    share = n / (n + control_n)
    points = chance + (1 - chance) * (np.arange(_POINTS) + 0.5) / _POINTS
    ratio = points / (1 - points) * (1 - chance) / chance
    weights = (concentration * chance - 1) * np.log(points)
    weights += (concentration * (1 - chance) - 1) * np.log1p(-points)
    weights -= special.logsumexp(weights)
    drawn = np.log1p(share[:, None] * (ratio - 1)[None, :])
    likelihood = bad.sum() * np.log(ratio) - (bad + control_bad) @ drawn
    return float(special.logsumexp(weights + likelihood))
