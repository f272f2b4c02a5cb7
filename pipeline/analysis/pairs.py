"""One look at every pair of arms of every metric of every experiment, column by column.

Belongs here: which arms are compared, at which level, what one look says of all pairs at once.
Does not: one comparison as decisions read it (`comparisons`), the formulas of error control
(`sequential`), a test that is looked at once (`single_look`), frames (`arm_columns`, `decisions`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.analysis import sequential
from pipeline.analysis.arm_stats import ArmStats, Numbers
from pipeline.analysis.sequential import BoundaryState
from pipeline.analysis.shrinkage import FALLBACK_SPREAD, Shrunk, base_rate, shrink
from pipeline.analysis.single_look import plain_intervals

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Leads per pair at which an open test without a guess of its size has its narrowest interval.
DEFAULT_PAIR_LEADS = 5000
# Planned mode gives four fifths of its error to the plan, the rest to the time after it.
PLANNED_PART = 0.8
# What is remembered of a pair that was never looked at.
UNSEEN: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Arms:
    """Arms, one a row. Those of one `group`, a metric of an experiment, are compared.

    Groups are numbered from 0. `name` is text, or ranks of it; `competes` is false of held-out
    groups, `is_named` true of the control that the design names.
    """

    group: Ints
    name: npt.NDArray[Any]
    competes: Bools
    is_control: Bools
    is_named: Bools
    share: Floats
    stats: ArmStats

    def order(self) -> Ints:
        """Return the rows by group and by rank as a baseline: held out, control, then by name."""
        keys = (self.name, ~self.is_control, ~self.is_named, self.competes, self.group)
        return np.lexsort(keys).astype(np.int64)


@dataclass(frozen=True)
class GroupRules:
    """The rule of each group, fixed before the first look; 0 planned leads are no plan."""

    alpha: Floats
    planned_leads: Floats
    is_planned: Bools
    spread: Floats


@dataclass(frozen=True)
class PairRule:
    """The rule of one pair, or of many: level, part of the plan, how much of the plan has come."""

    alpha: Numbers
    pair_leads: Numbers
    is_planned: Numbers = False
    plan_fraction: Numbers = 0.0
    spread: Numbers = FALLBACK_SPREAD

    @property
    def always_valid_alpha(self) -> Numbers:
        """The error that the never-closing sequence has to itself."""
        return np.where(self.is_planned, self.alpha * (1 - PLANNED_PART), self.alpha)

    @property
    def rate(self) -> Numbers:
        """ρ²: narrowest at the plan in open mode, at twice the plan where the plan closes."""
        n_optimal = np.where(self.is_planned, 2 * self.pair_leads, self.pair_leads)
        return sequential.tuning_rate(n_optimal, self.always_valid_alpha)


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows of `Arms`, with the rule of each; those of a group stand together."""

    arm: Ints
    baseline: Ints
    group: Ints
    is_against_held_out: Bools
    rule: PairRule


@dataclass(frozen=True)
class Looks:
    """What one look says of each pair, arm minus baseline; NaN where nothing can be said yet."""

    n: Ints
    mean_arm: Floats
    mean_baseline: Floats
    effect: Floats
    standard_error: Floats
    z: Floats
    log_e: Floats
    smallest_inverse_e: Floats
    multiplier: Floats
    p_value: Floats
    is_looked: Bools
    is_decisive: Bools
    interval_low: Floats
    interval_high: Floats
    plain_95_low: Floats
    plain_95_high: Floats
    relative_lift: Floats
    shrunk: Shrunk
    boundaries: Mapping[int, dict[str, Any]]

    def columns(self) -> dict[str, Numbers]:
        """Return what is told of each pair."""
        return {
            "mean_arm": self.mean_arm,
            "mean_baseline": self.mean_baseline,
            "effect": self.effect,
            "interval_low": self.interval_low,
            "interval_high": self.interval_high,
            "plain_95_low": self.plain_95_low,
            "plain_95_high": self.plain_95_high,
            "relative_lift": self.relative_lift,
            "shrunk_effect": self.shrunk.effect,
            "shrunk_low": self.shrunk.low,
            "shrunk_high": self.shrunk.high,
            "shrunk_deviation": self.shrunk.deviation,
            "probability_better": self.shrunk.probability_better,
            "p_value": self.p_value,
            "log_e": self.log_e,
            "is_decisive": self.is_decisive,
        }


def pair_arms(arms: Arms, rules: GroupRules) -> Pairs:
    """Return every two competing arms of a group, and each of them with every held-out group.

    Competing pairs are held at min(α, 2α/K), at which naming the arm that beats all K − 1 others is
    wrong with probability at most α (statistics.md 2.3); comparisons with a held-out group at α/K,
    a family of their own.

    Args:
        arms: in the order of `Arms.order`.
        rules: one per group.
    """
    rows = np.arange(len(arms.group))
    size = np.bincount(arms.group, minlength=len(rules.alpha))
    later = (np.cumsum(size) - 1)[arms.group] - rows
    baseline = np.repeat(rows, later)
    arm = baseline + 1 + np.arange(len(baseline)) - (np.cumsum(later) - later)[baseline]
    kept = arms.competes[arm]
    arm, baseline = arm[kept], baseline[kept]
    group = arms.group[arm]

    def total(values: Numbers) -> Numbers:
        return np.bincount(arms.group, values, len(rules.alpha))[group]

    competing = total(arms.competes)
    level = rules.alpha[group]
    is_against_held_out = ~arms.competes[baseline]
    between = np.minimum(level, 2 * level / competing)
    part = (arms.share[arm] + arms.share[baseline]) / _or_one(total(arms.share))
    planned = rules.planned_leads[group]
    rule = PairRule(
        alpha=np.where(is_against_held_out, level / competing, between),
        pair_leads=np.where(
            planned > 0, np.maximum(2.0, planned * _or_one(part)), DEFAULT_PAIR_LEADS
        ),
        is_planned=rules.is_planned[group] & (planned > 0),
        plan_fraction=np.where(planned > 0, total(arms.stats.n) / _or_one(planned), 0.0),
        spread=rules.spread[group],
    )
    return Pairs(arm, baseline, group, is_against_held_out, rule)


def take_looks(
    rule: PairRule, a: ArmStats, b: ArmStats, before: Sequence[Mapping[str, Any]] = ()
) -> Looks:
    """Take one more look at each pair by its rule.

    The always-valid interval and p-value hold at every look, and begin when both arms are burned
    in; so does the honest effect, shrunk by what earlier tests found.

    Args:
        rule: columns, one row per pair.
        a: matured statistics of the arms.
        b: those of the baselines.
        before: what `tell_evidence` gave at the look before, by pair; empty at a first look.
    """
    n = a.n + b.n
    with np.errstate(all="ignore"):
        mean_arm, mean_baseline = np.where(a.n, a.mean, np.nan), np.where(b.n, b.mean, np.nan)
        effect = mean_arm - mean_baseline
        error = np.sqrt(a.variance / a.n + b.variance / b.n)
        is_looked = a.is_burned_in & b.is_burned_in & (error > 0)
        z = effect / error
        rate = rule.rate
        log_e = np.where(is_looked, sequential.log_evidence(z, n, rate), 0.0)
        smallest = sequential.always_valid_p(log_e, _remembered(before, "smallest_inverse_e"))
        multiplier = sequential.confidence_multiplier(n, rate, rule.always_valid_alpha)
        p_value = smallest.copy()
        boundaries = {}
        for row in np.flatnonzero(rule.is_planned & is_looked).tolist():
            boundary = _planned_look(
                _rule_of(rule, row), int(n[row]), float(z[row]), before[row] if before else UNSEEN
            )
            boundaries[row] = boundary.evidence
            multiplier[row] = min(multiplier[row], boundary.multiplier)
            p_value[row] = min(1.0, boundary.p_value, smallest[row] / (1 - PLANNED_PART))
        is_decisive = is_looked & (np.abs(z) > multiplier)
        # A crossed boundary is by itself a rejection at the pair's level.
        p_value = np.minimum(p_value, np.where(is_decisive, rule.alpha, 1.0))
        earlier = _remembered(before, "p_value")
        low, high = sequential.confidence_interval(effect, error, multiplier)
        bound = np.where(a.is_binary & b.is_binary, 1.0, np.inf)
        shrunk = shrink(effect, error, rule.spread * base_rate((a, b)))
        lift = np.where(mean_baseline > 0, effect / mean_baseline, np.nan)
        plain = plain_intervals(a, b)
    return Looks(
        n=n,
        mean_arm=mean_arm,
        mean_baseline=mean_baseline,
        effect=effect,
        standard_error=error,
        z=z,
        log_e=log_e,
        smallest_inverse_e=smallest,
        multiplier=multiplier,
        p_value=np.where(is_looked, np.minimum(p_value, earlier), earlier),
        is_looked=is_looked,
        is_decisive=is_decisive,
        interval_low=np.where(is_looked, np.maximum(low, -bound), np.nan),
        interval_high=np.where(is_looked, np.minimum(high, bound), np.nan),
        plain_95_low=plain[0],
        plain_95_high=plain[1],
        relative_lift=np.where(np.isfinite(lift), lift, np.nan),
        shrunk=Shrunk(
            np.where(is_looked, shrunk.effect, np.nan),
            np.where(is_looked, shrunk.deviation, np.nan),
        ),
        boundaries=boundaries,
    )


def tell_evidence(
    looks: Looks,
    rule: PairRule,
    names: tuple[Sequence[str], Sequence[str]],
    before: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Return of each pair what the next look needs, and what recomputes this one, as plain values.

    Where nothing can be said yet, what was known before is handed on.

    Args:
        looks: what was seen.
        rule: the rule of each pair.
        names: those of arms and of baselines.
        before: what this function gave at the look before.
    """
    told = {
        "n": looks.n,
        "z": looks.z,
        "standard_error": looks.standard_error,
        "alpha": rule.alpha,
        "pair_leads": rule.pair_leads,
        "log_e": looks.log_e,
        "smallest_inverse_e": looks.smallest_inverse_e,
        "multiplier": looks.multiplier,
        "p_value": looks.p_value,
    }
    values = zip(*(column.tolist() for column in told.values()), strict=True)
    evidence = []
    for row, (numbers, is_looked) in enumerate(zip(values, looks.is_looked, strict=True)):
        found = {"arm": names[0][row], "baseline": names[1][row]}
        if is_looked:
            found |= zip(told, numbers, strict=True)
            found |= looks.boundaries.get(row, UNSEEN)
        elif before:
            found = {**before[row], **found}
        evidence.append(found)
    return evidence


def tell_rows(columns: Mapping[str, Numbers]) -> list[dict[str, Any]]:
    """Return columns as rows of plain values; None stands for NaN."""
    values = (
        [None if isnan(value) else value for value in column.tolist()]
        if isinstance(column, np.ndarray)
        else column
        for column in columns.values()
    )
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


@dataclass(frozen=True)
class _PlannedLook:
    """The boundary of the plan at one look, a p-value by it, and what the next look needs."""

    multiplier: float
    p_value: float
    evidence: dict[str, Any]


def _planned_look(rule: PairRule, n: int, z: float, before: Mapping[str, Any]) -> _PlannedLook:
    """Carry the boundary of one pair on to this look.

    The interval at the lower of both boundaries is the repeated confidence interval of Jennison &
    Turnbull.
    """
    stored = before.get("boundary")
    state = BoundaryState.from_json(stored) if stored else BoundaryState()
    spent = sequential.spend_obrien_fleming(rule.plan_fraction, PLANNED_PART * rule.alpha)
    state = sequential.next_look(state, float(n), spent)
    score = float(before.get("largest_score", 0.0))
    if state.multiplier < np.inf:
        score = max(score, abs(z) * n**0.5)
    horizon = max(rule.pair_leads, state.information) ** 0.5
    return _PlannedLook(
        multiplier=state.multiplier,
        p_value=sequential.spending_p(score / horizon) / PLANNED_PART,
        evidence={"boundary": state.to_json(), "largest_score": score},
    )


def _rule_of(rules: PairRule, row: int) -> PairRule:
    """Return the rule of one pair as plain numbers."""
    return PairRule(
        **{field.name: getattr(rules, field.name)[row].item() for field in fields(rules)}
    )


def _remembered(before: Sequence[Mapping[str, Any]], name: str) -> Numbers:
    """Return a p-value of the looks before, 1 where there was none."""
    return np.array([float(found.get(name, 1.0)) for found in before]) if before else 1.0


def _or_one(values: Floats) -> Floats:
    return np.where(values == 0, 1.0, values)
