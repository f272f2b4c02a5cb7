"""Were units split as declared? A broken split makes every comparison worthless.

Belongs here: the check of counts per group against shares. Does not: what follows from an alarm
(`experiments`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from pipeline.analysis.sequential import dirichlet_log_es

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

    @property
    def units(self) -> int:
        """Units of all groups."""
        return sum(self.observed.values())


@dataclass(frozen=True)
class Split:
    """Units assigned per group, and the share that each group should have."""

    assigned: Mapping[str, int]
    shares: Mapping[str, float]


def check_sample_ratio(assigned: Mapping[str, int], shares: Mapping[str, float]) -> SampleRatio:
    """Compare units assigned per group with the declared shares, the held-out group included."""
    [found] = check_sample_ratios([Split(assigned, shares)])
    return found


def check_sample_ratios(splits: Sequence[Split]) -> list[SampleRatio]:
    """Compare units assigned per group with the declared shares, of many splits at once.

    Groups without a share take no part. Shares that do not reach 1 belong to groups nobody fell
    into yet: they are counted together as one group with no units.
    """
    found = [_expect(split) for split in splits]
    # A single group, or nobody, cannot be split wrongly.
    rows = [row for row, split in enumerate(found) if len(split.expected) > 1 and split.units]
    if not rows:
        return found
    sizes = [len(found[row].expected) for row in rows]
    split = np.repeat(np.arange(len(rows)), sizes)
    observed = np.array([n for row in rows for n in found[row].observed.values()], dtype=np.float64)
    expected = np.array([n for row in rows for n in found[row].expected.values()])
    distance = np.bincount(split, (observed - expected) ** 2 / expected)
    p_values = special.chdtrc(np.array(sizes) - 1, distance)
    log_es = dirichlet_log_es(
        observed, expected / np.bincount(split, expected)[split], split, CONCENTRATION
    )
    for row, p_value, log_e in zip(rows, p_values.tolist(), log_es.tolist(), strict=True):
        is_small = min(found[row].expected.values()) < LEAST_EXPECTED
        is_alarm = log_e > math.log(ALARM_E) or (p_value < ALARM_P and not is_small)
        found[row] = replace(found[row], p_value=p_value, log_e=log_e, is_alarm=is_alarm)
    return found


def _expect(split: Split) -> SampleRatio:
    """Return what was seen beside what was to be expected, not judged yet."""
    shares = {arm: share for arm, share in sorted(split.shares.items()) if share > 0}
    missing = 1 - sum(shares.values())
    if missing > LEAST_SHARE:
        shares[ABSENT] = missing
    scale = sum(shares.values())
    observed = {arm: int(split.assigned.get(arm, 0)) for arm in shares}
    n = sum(observed.values())
    expected = {arm: n * share / scale for arm, share in shares.items()}
    return SampleRatio(observed, expected, p_value=1.0, log_e=0.0, is_alarm=False)
