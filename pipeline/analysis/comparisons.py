"""Two arms side by side: estimate, always-valid interval, p-value, crossed boundary or not.

Belongs here: one comparison, or all comparisons of one metric, with error held over all looks.
Does not: naming a winner (`experiments`), the formulas of error control (`sequential`), a test that
is looked at once (`single_look`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

from pipeline.analysis import sequential
from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.sequential import BoundaryState
from pipeline.analysis.shrinkage import FALLBACK_SPREAD, Prior, Shrunk, base_rate, shrink
from pipeline.analysis.single_look import plain_interval

Role = Literal["control", "treatment", "held_out"]
Mode = Literal["open", "planned"]

# Leads per pair at which an open test without a guess of its size has its narrowest interval.
DEFAULT_PAIR_LEADS = 5000
# Planned mode gives four fifths of its error to the plan, the rest to the time after it.
PLANNED_PART = 0.8


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
    """The rule fixed before the first look."""

    metric: str
    mode: Mode = "open"
    planned_leads: int | None = None
    alpha: float = 0.05
    control: str | None = None
    prior: Prior = field(default_factory=Prior)


@dataclass(frozen=True)
class PairRule:
    """The rule for one pair: its level, its part of the plan, how much of the plan has come."""

    alpha: float
    pair_leads: float
    is_planned: bool = False
    plan_fraction: float = 0.0
    spread: float = FALLBACK_SPREAD


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
    return sorted(
        arms, key=lambda arm: (arm.competes, arm.name != control, arm.role != "control", arm.name)
    )


def compare_arms(
    design: Design,
    arms: Sequence[Arm],
    previous: Sequence[Mapping[str, Any]] = (),
    *,
    is_primary: bool = True,
) -> list[Comparison]:
    """Compare every two competing arms, and each of them with every held-out group.

    `previous` holds the `evidence` of the comparisons at the look before. Competing pairs are held
    at min(α, 2α/K), at which naming the arm that beats all K − 1 others is wrong with probability
    at most α (statistics.md 2.3); comparisons with a held-out group at α/K, a family of their own.
    """
    before = {frozenset((str(e["arm"]), str(e["baseline"]))): e for e in previous}
    competing = max(1, sum(arm.competes for arm in arms))
    total_share = sum(arm.share for arm in arms) or 1.0
    matured = sum(arm.stats.n for arm in arms)
    rows = []
    for baseline, arm in combinations(order_arms(arms, design.control), 2):
        if not arm.competes:
            continue
        alpha = min(design.alpha, 2 * design.alpha / competing)
        if not baseline.competes:
            alpha = design.alpha / competing
        share = (arm.share + baseline.share) / total_share
        planned = design.planned_leads
        rule = PairRule(
            alpha=alpha,
            pair_leads=max(2.0, planned * (share or 1.0)) if planned else DEFAULT_PAIR_LEADS,
            is_planned=design.mode == "planned" and bool(planned),
            plan_fraction=matured / planned if planned else 0.0,
            spread=design.prior.spread,
        )
        pair = before.get(frozenset((arm.name, baseline.name)), {})
        compared = compare_pair(rule, arm, baseline, design.metric, pair)
        rows.append(replace(compared, is_primary=is_primary))
    return rows


def compare_pair(
    rule: PairRule,
    arm: Arm,
    baseline: Arm,
    metric: str,
    previous: Mapping[str, Any],
) -> Comparison:
    """Compare one arm with its baseline, taking one more look by the pair's rule."""
    a, b = arm.stats, baseline.stats
    effect = a.mean - b.mean if a.n and b.n else None
    plain = plain_interval(a, b) or (None, None)
    compared = Comparison(
        metric=metric,
        arm=arm.name,
        baseline=baseline.name,
        n_arm=a.n,
        n_baseline=b.n,
        mean_arm=a.mean if a.n else None,
        mean_baseline=b.mean if b.n else None,
        effect=effect,
        interval_low=None,
        interval_high=None,
        plain_95_low=plain[0],
        plain_95_high=plain[1],
        relative_lift=_lift(effect, b.mean),
        p_value=float(previous.get("p_value", 1.0)),
        log_e=0.0,
        is_decisive=False,
        is_against_held_out=not baseline.competes,
        is_primary=True,
        evidence={**previous, "arm": arm.name, "baseline": baseline.name},
    )
    if effect is None or not (a.is_burned_in and b.is_burned_in):
        return compared
    return _look(rule, compared, math.sqrt(a.variance / a.n + b.variance / b.n), (a, b))


def _look(
    rule: PairRule, compared: Comparison, standard_error: float, both: tuple[ArmStats, ArmStats]
) -> Comparison:
    """Return the comparison with boundary, interval and p-value of this look."""
    if standard_error <= 0 or compared.effect is None:
        return compared
    n = compared.n_arm + compared.n_baseline
    z = compared.effect / standard_error
    rate = _rate(rule)
    log_e = sequential.log_evidence(z, n, rate)
    before = compared.evidence
    evidence: dict[str, Any] = {
        "arm": compared.arm,
        "baseline": compared.baseline,
        "n": n,
        "z": z,
        "standard_error": standard_error,
        "alpha": rule.alpha,
        "pair_leads": rule.pair_leads,
        "log_e": log_e,
        "smallest_inverse_e": sequential.always_valid_p(
            log_e, float(before.get("smallest_inverse_e", 1.0))
        ),
    }
    multiplier = sequential.confidence_multiplier(n, rate, _always_valid_alpha(rule))
    p_value = evidence["smallest_inverse_e"]
    if rule.is_planned:
        multiplier, p_value = _planned_look(rule, n, z, multiplier, evidence, before)
    is_decisive = abs(z) > multiplier
    # A crossed boundary is by itself a rejection at the pair's level.
    p_value = min(p_value, float(before.get("p_value", 1.0)), rule.alpha if is_decisive else 1.0)
    evidence |= {"multiplier": multiplier, "p_value": p_value}
    shrunk = shrink(compared.effect, standard_error, rule.spread * base_rate(both))
    low, high = sequential.confidence_interval(compared.effect, standard_error, multiplier)
    if all(stats_.is_binary for stats_ in both):
        low, high = max(low, -1.0), min(high, 1.0)
    return replace(
        compared,
        interval_low=low,
        interval_high=high,
        p_value=p_value,
        log_e=log_e,
        is_decisive=is_decisive,
        evidence=evidence,
        shrunk=shrunk,
    )


def _planned_look(
    rule: PairRule,
    n: int,
    z: float,
    always_valid: float,
    evidence: dict[str, Any],
    before: Mapping[str, Any],
) -> tuple[float, float]:
    """Return the lower of both boundaries and a p-value that holds for the two together.

    The interval at this boundary is the repeated confidence interval of Jennison & Turnbull.
    """
    stored = before.get("boundary")
    state = BoundaryState.from_json(stored) if stored else BoundaryState()
    spent = sequential.spend_obrien_fleming(rule.plan_fraction, PLANNED_PART * rule.alpha)
    state = sequential.next_look(state, float(n), spent)
    score = float(before.get("largest_score", 0.0))
    if state.multiplier < math.inf:
        score = max(score, abs(z) * math.sqrt(n))
    evidence |= {"boundary": state.to_json(), "largest_score": score}
    horizon = math.sqrt(max(rule.pair_leads, state.information))
    by_plan = sequential.spending_p(score / horizon) / PLANNED_PART
    by_evidence = evidence["smallest_inverse_e"] / (1 - PLANNED_PART)
    return min(state.multiplier, always_valid), min(1.0, by_plan, by_evidence)


def _always_valid_alpha(rule: PairRule) -> float:
    """Return the error that the never-closing sequence has to itself."""
    return rule.alpha * (1 - PLANNED_PART) if rule.is_planned else rule.alpha


def _rate(rule: PairRule) -> float:
    """Return ρ²: narrowest at the plan in open mode, at twice the plan where the plan closes."""
    n_optimal = 2 * rule.pair_leads if rule.is_planned else rule.pair_leads
    return sequential.tuning_rate(n_optimal, _always_valid_alpha(rule))


def _lift(effect: float | None, mean: float | None) -> float | None:
    """Return the effect relative to a mean, where that is a number."""
    if effect is None or mean is None or mean <= 0:
        return None
    lift = effect / mean
    return lift if math.isfinite(lift) else None
