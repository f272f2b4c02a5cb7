"""Two arms side by side, as decisions and people read it: estimate, interval, crossed or not.

Belongs here: an arm, a design and a comparison as objects; all comparisons of one metric. Does not:
the look itself, which is taken at all pairs at once (`pairs`), naming a winner (`experiments`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.pairs import (
    UNSEEN,
    Arms,
    GroupRules,
    PairRule,
    pair_arms,
    take_looks,
    tell_evidence,
    tell_rows,
)
from pipeline.analysis.shrinkage import Prior, Shrunk

Role = Literal["control", "treatment", "held_out"]
Mode = Literal["open", "planned"]

# What a look says of a pair that a comparison has under the same name.
_SEEN = (
    "mean_arm",
    "mean_baseline",
    "effect",
    "interval_low",
    "interval_high",
    "plain_95_low",
    "plain_95_high",
    "relative_lift",
    "p_value",
    "log_e",
    "is_decisive",
)


@dataclass(frozen=True)
class Arm:
    """One arm of an experiment: what was declared, how many it got, what they did.

    `stats` are those of matured leads; `count_so_far` is the outcome of all assigned ones.
    """

    name: str
    role: Role = "treatment"
    share: float = 0.5
    n_assigned: int = 0
    stats: ArmStats = field(default_factory=ArmStats)
    count_so_far: float = 0.0

    @property
    def competes(self) -> bool:
        """Whether the arm can win: the held-out group is never sent."""
        return self.role != "held_out"


@dataclass(frozen=True)
class Design:
    """The rule fixed before the first look.

    `expected_loss` is the threshold of caring as a share of the base rate, `margin` what is called
    equivalent as a share of the control's rate; without them nothing is decided by either.
    """

    metric: str
    mode: Mode = "open"
    planned_leads: int | None = None
    alpha: float = 0.05
    control: str | None = None
    prior: Prior = field(default_factory=Prior)
    expected_loss: float | None = None
    margin: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Arm minus baseline. None stands where nothing can be said yet; there is no NaN.

    The always-valid interval and p-value hold at every look, and begin when both arms are burned
    in; so does the honest effect, shrunk by what earlier tests found. The plain 95 % interval
    (Newcombe, or Welch for money) holds for one look only.
    """

    metric: str
    arm: str
    baseline: str
    n_arm: int
    n_baseline: int
    mean_arm: float | None
    mean_baseline: float | None
    effect: float | None
    interval_low: float | None
    interval_high: float | None
    plain_95_low: float | None
    plain_95_high: float | None
    relative_lift: float | None
    p_value: float
    log_e: float
    is_decisive: bool
    is_against_held_out: bool
    is_primary: bool
    evidence: dict[str, Any]
    shrunk: Shrunk | None = None

    @property
    def favours(self) -> str | None:
        """Name of the arm that is ahead beyond the boundary, if any."""
        if not self.is_decisive or self.effect is None:
            return None
        return self.arm if self.effect > 0 else self.baseline


def turn_around(pair: Comparison) -> Comparison:
    """Return the same comparison seen from the baseline: signs change, evidence does not."""
    low, high = pair.interval_low, pair.interval_high
    plain_low, plain_high = pair.plain_95_low, pair.plain_95_high
    effect = None if pair.effect is None else -pair.effect
    mean = pair.mean_arm
    return replace(
        pair,
        arm=pair.baseline,
        baseline=pair.arm,
        n_arm=pair.n_baseline,
        n_baseline=pair.n_arm,
        mean_arm=pair.mean_baseline,
        mean_baseline=mean,
        effect=effect,
        interval_low=None if high is None else -high,
        interval_high=None if low is None else -low,
        plain_95_low=None if plain_high is None else -plain_high,
        plain_95_high=None if plain_low is None else -plain_low,
        relative_lift=_lift(effect, mean),
        shrunk=pair.shrunk.turned() if pair.shrunk else None,
    )


def is_money(metric: str) -> bool:
    """Return whether the metric is an amount and not a share of leads."""
    return metric.startswith(("revenue", "capped_revenue"))


def order_arms(arms: Sequence[Arm], control: str | None) -> list[Arm]:
    """Order arms by rank as a baseline: held-out group, control, then by name."""
    return [arms[row] for row in _columns(arms, control).order().tolist()]


def compare_arms(
    design: Design,
    arms: Sequence[Arm],
    previous: Sequence[Mapping[str, Any]] = (),
    *,
    is_primary: bool = True,
) -> list[Comparison]:
    """Compare every two competing arms, and each of them with every held-out group.

    `previous` holds the `evidence` of the comparisons at the look before.
    """
    ordered = order_arms(arms, design.control)
    planned = design.planned_leads or 0
    rules = GroupRules(
        alpha=np.array([design.alpha]),
        planned_leads=np.array([float(planned)]),
        is_planned=np.array([design.mode == "planned"]),
        spread=np.array([design.prior.spread]),
    )
    pairs = pair_arms(_columns(ordered, design.control), rules)
    sides = [
        (ordered[arm], ordered[baseline])
        for arm, baseline in zip(pairs.arm.tolist(), pairs.baseline.tolist(), strict=True)
    ]
    # Whichever of the two was the baseline.
    known = {frozenset((found["arm"], found["baseline"])): found for found in previous}
    before = [known.get(frozenset((arm.name, base.name)), UNSEEN) for arm, base in sides]
    found = _compare(pairs.rule, sides, design.metric, before)
    return found if is_primary else [replace(pair, is_primary=False) for pair in found]


def compare_pair(
    rule: PairRule, arm: Arm, baseline: Arm, metric: str, previous: Mapping[str, Any]
) -> Comparison:
    """Compare one arm with its baseline, taking one more look by the pair's rule."""
    columns = {name: np.array([value]) for name, value in vars(rule).items()}
    [found] = _compare(PairRule(**columns), [(arm, baseline)], metric, [previous])
    return found


def tell_comparison(
    metric: str, arm: Arm, baseline: Arm, seen: Mapping[str, Any], evidence: dict[str, Any]
) -> Comparison:
    """Return what was seen of a pair (by the names of `Looks.columns`) as an object."""
    effect = seen["shrunk_effect"]
    return Comparison(
        metric=metric,
        arm=arm.name,
        baseline=baseline.name,
        n_arm=arm.stats.n,
        n_baseline=baseline.stats.n,
        is_against_held_out=not baseline.competes,
        is_primary=True,
        evidence=evidence,
        shrunk=None if effect is None else Shrunk(effect, seen["shrunk_deviation"]),
        **{name: seen[name] for name in _SEEN},
    )


def _compare(
    rule: PairRule,
    sides: Sequence[tuple[Arm, Arm]],
    metric: str,
    before: Sequence[Mapping[str, Any]],
) -> list[Comparison]:
    arms, baselines = [[side[part] for side in sides] for part in (0, 1)]
    looks = take_looks(
        rule,
        ArmStats.columns([arm.stats for arm in arms]),
        ArmStats.columns([arm.stats for arm in baselines]),
        before,
    )
    names = [arm.name for arm in arms], [arm.name for arm in baselines]
    evidence = tell_evidence(looks, rule, names, before)
    return [
        tell_comparison(metric, *both, seen, found)
        for both, seen, found in zip(sides, tell_rows(looks.columns()), evidence, strict=True)
    ]


def _columns(arms: Sequence[Arm], control: str | None) -> Arms:
    """Return the arms of one metric as columns."""
    return Arms(
        group=np.zeros(len(arms), dtype=np.int64),
        name=np.array([arm.name for arm in arms], dtype=np.str_),
        competes=np.array([arm.competes for arm in arms], dtype=np.bool_),
        is_control=np.array([arm.role == "control" for arm in arms], dtype=np.bool_),
        is_named=np.array([arm.name == control for arm in arms], dtype=np.bool_),
        share=np.array([arm.share for arm in arms], dtype=np.float64),
        stats=ArmStats.columns([arm.stats for arm in arms]),
    )


def _lift(effect: float | None, mean: float | None) -> float | None:
    """Return the effect relative to a mean, where that is a number."""
    if effect is None or mean is None or mean <= 0:
        return None
    lift = effect / mean
    return lift if math.isfinite(lift) else None
