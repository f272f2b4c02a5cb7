"""Were units split as declared? A broken split makes every comparison worthless.

Belongs here: the check of counts per group against shares. Does not: what follows from an alarm
(`experiments`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

from pipeline.analysis.sequential import dirichlet_log_e

# statistics.md 2.5 and 3.4: 28 daily checks of a sound split alarm in 0.9 % (p) and 0.3 % (e).
ALARM_P = 0.001
ALARM_E = 100.0
CONCENTRATION = 400.0
# Chi-square is not to be trusted with fewer expected units in a group; the e-value is exact.
LEAST_EXPECTED = 5.0
LEAST_SHARE = 1e-6
ABSENT = "(absent)"


@dataclass(frozen=True)
class SampleRatio:
    """Counts per group beside what the shares promised, with two kinds of evidence."""

    observed: dict[str, int]
    expected: dict[str, float]
    p_value: float
    log_e: float
    is_alarm: bool


def check_sample_ratio(assigned: Mapping[str, int], shares: Mapping[str, float]) -> SampleRatio:
    """Compare units assigned per group with the declared shares, the held-out group included.

    Groups without a share take no part. Shares that do not reach 1 belong to groups nobody fell
    into yet: they are counted together as one group with no units.
    """
    expected_shares = {arm: share for arm, share in sorted(shares.items()) if share > 0}
    missing = 1 - sum(expected_shares.values())
    if missing > LEAST_SHARE:
        expected_shares[ABSENT] = missing
    scale = sum(expected_shares.values())
    observed = {arm: int(assigned.get(arm, 0)) for arm in expected_shares}
    n = sum(observed.values())
    expected = {arm: n * share / scale for arm, share in expected_shares.items()}
    if n == 0 or len(expected) == 1:
        return SampleRatio(observed, expected, p_value=1.0, log_e=0.0, is_alarm=False)
    test = stats.chisquare(list(observed.values()), list(expected.values()))
    p_value = float(test.pvalue)
    log_e = dirichlet_log_e(
        list(observed.values()),
        [share / scale for share in expected_shares.values()],
        CONCENTRATION,
    )
    is_small = min(expected.values()) < LEAST_EXPECTED
    is_alarm = log_e > math.log(ALARM_E) or (p_value < ALARM_P and not is_small)
    return SampleRatio(observed, expected, p_value, log_e, is_alarm)
