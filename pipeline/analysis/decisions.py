"""The decisions and comparisons of all experiments as frames, one look a day each.

Belongs here: marts frames to arms, looks to evidence, decisions to rows.
Does not: the decision itself (`experiments`), reading or writing tables (`tables`).
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, cast

import polars as pl

from pipeline.analysis.adaptive import compare_bandit
from pipeline.analysis.adjustment import PairedSums, adjust_for_covariate
from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.comparisons import (
    Arm,
    Comparison,
    Design,
    Mode,
    Role,
    compare_arms,
    order_arms,
)
from pipeline.analysis.experiments import Decision, decide_experiment
from pipeline.analysis.guardrails import METRICS as GUARDRAIL_METRICS
from pipeline.analysis.guardrails import Exposure
from pipeline.analysis.sequential import rejected_by_evidence
from pipeline.analysis.shrinkage import Prior, Shrunk, base_rate, learn_prior

# A look belongs to the workspace day that began at 06:00 (rules.md R15).
LOOK_HOUR = timedelta(hours=6)
FULL_WEEK = timedelta(days=6)
SECONDARY_FALSE_DISCOVERY_RATE = 0.10
# They are watched one-sided and exactly, or tell whether arms are comparable at all.
NOT_COMPARED = {"complained", "bounced", "unsent"}
# Their effects are what a prior is learned from; an invalid test has none.
FINISHED = {"winner", "either_of", "no_difference", "harmful"}

# What is read of the ledger's looks, the latest one of each experiment.
LOOKS_SCHEMA: dict[str, pl.DataType] = {
    "experiment_id": pl.String(),
    "looked_on": pl.Date(),
    "state": pl.String(),
    "winner": pl.String(),
    "evidence": pl.String(),
}

DECISIONS_SCHEMA: dict[str, pl.DataType] = {
    "experiment_id": pl.String(),
    "metric": pl.String(),
    "looked_on": pl.Date(),
    "state": pl.String(),
    "winner": pl.String(),
    "reason": pl.String(),
    "mode": pl.String(),
    "alpha": pl.Float64(),
    "control": pl.String(),
    "is_auto": pl.Boolean(),
    "n": pl.Int64(),
    "n_assigned": pl.Int64(),
    "effect": pl.Float64(),
    "interval_low": pl.Float64(),
    "interval_high": pl.Float64(),
    "relative_lift": pl.Float64(),
    "shrunk_effect": pl.Float64(),
    "shrunk_low": pl.Float64(),
    "shrunk_high": pl.Float64(),
    "probability_best": pl.Float64(),
    "expected_loss": pl.Float64(),
    "prior_spread": pl.Float64(),
    "prior_tests": pl.Int64(),
    "p_value": pl.Float64(),
    "sample_ratio_p": pl.Float64(),
    "sample_ratio_log_e": pl.Float64(),
    "evidence": pl.String(),
}

COMPARISONS_SCHEMA: dict[str, pl.DataType] = {
    "experiment_id": pl.String(),
    "metric": pl.String(),
    "is_primary": pl.Boolean(),
    "arm": pl.String(),
    "baseline": pl.String(),
    "is_against_held_out": pl.Boolean(),
    "n_arm": pl.Int64(),
    "n_baseline": pl.Int64(),
    "mean_arm": pl.Float64(),
    "mean_baseline": pl.Float64(),
    "effect": pl.Float64(),
    "interval_low": pl.Float64(),
    "interval_high": pl.Float64(),
    "plain_95_low": pl.Float64(),
    "plain_95_high": pl.Float64(),
    "relative_lift": pl.Float64(),
    "shrunk_effect": pl.Float64(),
    "shrunk_low": pl.Float64(),
    "shrunk_high": pl.Float64(),
    "probability_better": pl.Float64(),
    "adjusted_effect": pl.Float64(),
    "adjusted_low": pl.Float64(),
    "adjusted_high": pl.Float64(),
    "p_value": pl.Float64(),
    "is_decisive": pl.Boolean(),
}


@dataclass(frozen=True)
class _Metric:
    """The arms of one experiment with the statistics of one metric."""

    is_primary: bool
    arms: list[Arm]
    engaged: dict[str, PairedSums]
    first_assigned_on: date
    last_assigned_on: date


def look_day(now: datetime) -> date:
    """Return the day a look at `now` belongs to; days begin at 06:00 in the zone of `now`."""
    return (now - LOOK_HOUR).date()


def decide_experiments(
    experiments: pl.DataFrame, arms: pl.DataFrame, looks: pl.DataFrame, now: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the decisions (one row per experiment) and comparisons of all experiments.

    An experiment whose latest look is of today gets the rows of that look again: a second refresh
    on a day is not a second look. `evidence` is what the ledger stores with the look.

    Args:
        experiments: marts.experiments.
        arms: marts.experiment_arms, one row per experiment, metric, arm and day.
        looks: the latest row of ledger.looks per experiment; no rows before the first.
        now: the moment, in the workspace's zone.
    """
    today = look_day(now)
    metrics = _read_arms(arms)
    latest = {row["experiment_id"]: row for row in looks.iter_rows(named=True)}
    read = {experiment_id: _previous(look) for experiment_id, look in latest.items()}
    priors = learn_priors(read.values())
    decided: list[dict[str, Any]] = []
    compared: list[dict[str, Any]] = []
    for experiment in experiments.sort("experiment_id").iter_rows(named=True):
        experiment_id = experiment["experiment_id"]
        previous = read.get(experiment_id, {})
        if _is_of(latest.get(experiment_id), today) and "row" in previous:
            evidence = previous
        else:
            evidence = _take_look(
                experiment, metrics.get(experiment_id, {}), previous, today, priors, arms
            )
        decided.append(_restore_row(evidence, is_auto=bool(experiment["is_auto"])))
        compared += evidence["comparisons"]
    return (
        pl.DataFrame(decided, schema=DECISIONS_SCHEMA),
        pl.DataFrame(compared, schema=COMPARISONS_SCHEMA),
    )


def learn_priors(looks: Iterable[Mapping[str, Any]]) -> dict[str, Prior]:
    """Return the prior of effects for each kind of metric, from the workspace's finished tests.

    Each arm of a finished test counts once, against the control and relative to the mean of both.

    Args:
        looks: the evidence of the latest look of each experiment.
    """
    found: dict[str, tuple[list[float], list[float]]] = {}
    for look in looks:
        if look.get("state") not in FINISHED or not look.get("arms"):
            continue
        effects, errors = found.setdefault(metric_kind(look["design"]["metric"]), ([], []))
        arms = [ArmStats(**arm["stats"]) for arm in look["arms"] if arm["role"] != "held_out"]
        # The control stands first.
        for arm in arms[1:]:
            if arm.is_burned_in and arms[0].is_burned_in:
                base = base_rate([arm, arms[0]])
                spread = math.sqrt(arm.variance / arm.n + arms[0].variance / arms[0].n)
                effects.append((arm.mean - arms[0].mean) / base)
                errors.append(spread / base)
    return {kind: learn_prior(*both) for kind, both in found.items()}


def metric_kind(metric: str) -> str:
    """Return what kind of outcome a metric counts, whatever the goal's name."""
    return metric.partition("(")[0]


def _read_arms(arms: pl.DataFrame) -> dict[str, dict[str, _Metric]]:
    """Sum the days and return metrics by experiment and name."""
    # Sorted first: sums of floats must not depend on the order of the rows.
    summed = (
        arms.sort("experiment_id", "metric", "arm", "assigned_on", "n", "sum")
        .group_by("experiment_id", "metric", "arm", maintain_order=True)
        .agg(
            pl.col("is_primary").first(),
            pl.col("role").last(),
            pl.col("share").last().cast(pl.Float64),
            pl.col("n_assigned", "n", "n_engaged").sum(),
            pl.col("sum", "sum_squares", "sum_so_far", "sum_engaged").cast(pl.Float64).sum(),
            pl.col("assigned_on").min().alias("first_on"),
            pl.col("assigned_on").max().alias("last_on"),
        )
    )
    metrics: dict[str, dict[str, _Metric]] = {}
    for row in summed.iter_rows(named=True):
        arm = Arm(
            name=row["arm"],
            role=cast("Role", row["role"]),
            share=row["share"],
            n_assigned=row["n_assigned"],
            count_so_far=row["sum_so_far"],
            stats=ArmStats(row["n"], row["sum"], row["sum_squares"]),
        )
        of_experiment = metrics.setdefault(row["experiment_id"], {})
        known = of_experiment.get(row["metric"])
        engaged = row["n_engaged"]
        paired = PairedSums(
            row["n"], row["sum"], row["sum_squares"], engaged, engaged, row["sum_engaged"]
        )
        of_experiment[row["metric"]] = _Metric(
            is_primary=row["is_primary"],
            arms=[*known.arms, arm] if known else [arm],
            engaged={**(known.engaged if known else {}), arm.name: paired},
            first_assigned_on=min(known.first_assigned_on, row["first_on"])
            if known
            else row["first_on"],
            last_assigned_on=max(known.last_assigned_on, row["last_on"])
            if known
            else row["last_on"],
        )
    return metrics


def _previous(look: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the evidence of the latest look; its state and winner are those of the row."""
    if look is None:
        return {}
    evidence = look["evidence"]
    values = json.loads(evidence) if isinstance(evidence, str) else dict(evidence or {})
    return {**values, "state": look["state"], "winner": look["winner"]}


def _is_of(look: Mapping[str, Any] | None, today: date) -> bool:
    """Return whether the look was taken on this day (or later, when clocks went back)."""
    return look is not None and look["looked_on"] >= today


def _take_look(
    experiment: Mapping[str, Any],
    metrics: Mapping[str, _Metric],
    previous: Mapping[str, Any],
    today: date,
    priors: Mapping[str, Prior],
    bandit_days: pl.DataFrame,
) -> dict[str, Any]:
    """Decide on the primary metric, compare the others, and return the evidence of the look."""
    # Of money the capped sums decide, where the history before the test gives a cap.
    named = next((name for name, metric in metrics.items() if metric.is_primary), None)
    primary = metrics[named] if named else None
    design = Design(
        metric=named or experiment["metric"],
        mode=cast("Mode", experiment["mode"]),
        planned_leads=experiment["planned_leads"],
        alpha=float(experiment["alpha"]),
        control=experiment["control"],
        prior=priors.get(metric_kind(experiment["metric"]), Prior()),
    )
    reason = _held_back(experiment)
    if reason and previous.get("state") != "winner":
        return _hold_back(experiment, design, primary, reason, (today, bandit_days))
    decision = decide_experiment(
        design,
        primary.arms if primary else [],
        previous=previous,
        conflicting_units=int(experiment["count_conflicting_units"] or 0),
        exposures=_exposures(metrics, design.control),
        lost=_lost(metrics),
    )
    secondary = _compare_secondary(design, metrics, previous, priors)
    adjusted = _adjust(primary, decision.comparisons) if primary else {}
    rows = [
        {
            **_comparison_row(experiment["experiment_id"], pair),
            **adjusted.get((pair.arm, pair.baseline), {}),
        }
        for pair in decision.comparisons
    ]
    rows += [_comparison_row(experiment["experiment_id"], pair) for pair in secondary]
    experiment_id = experiment["experiment_id"]
    return {
        **decision.evidence,
        "has_full_week": bool(
            primary and primary.last_assigned_on - primary.first_assigned_on >= FULL_WEEK
        ),
        "secondary": [{**pair.evidence, "metric": pair.metric} for pair in secondary],
        "comparisons": rows,
        "row": _decision_row(experiment_id, design, decision, today),
    }


def _adjust(
    primary: _Metric, pairs: Sequence[Comparison]
) -> dict[tuple[str, str], dict[str, float]]:
    """Return the effects without what engagement before the draw explains, by pair.

    The same multiplier as the unadjusted interval has; shown beside it, while that one decides.
    """
    stats = dict(
        zip(primary.engaged, adjust_for_covariate(list(primary.engaged.values())), strict=True)
    )
    found = {}
    for pair in pairs:
        if pair.interval_low is None:
            continue
        arm, baseline = stats[pair.arm], stats[pair.baseline]
        effect = arm.mean - baseline.mean
        error = math.sqrt(arm.variance / arm.n + baseline.variance / baseline.n)
        reach = pair.evidence["multiplier"] * error
        found[pair.arm, pair.baseline] = {
            "adjusted_effect": effect,
            "adjusted_low": effect - reach,
            "adjusted_high": effect + reach,
        }
    return found


def _exposures(metrics: Mapping[str, _Metric], control: str | None) -> dict[str, list[Exposure]]:
    """Return the bad events of all arms that are sent, by guardrail."""
    return {
        name: [
            Exposure(
                arm.name, arm.n_assigned, round(arm.count_so_far), arm.share, arm.name == control
            )
            for arm in order_arms(metrics[name].arms, control)
            if arm.competes
        ]
        for name in GUARDRAIL_METRICS
        if name in metrics
    }


def _lost(metrics: Mapping[str, _Metric]) -> dict[str, int]:
    """Return the matured leads of each arm whose message never went out, where that is counted."""
    unsent = metrics.get("unsent")
    return {arm.name: round(arm.stats.sum) for arm in unsent.arms} if unsent else {}


def _held_back(experiment: Mapping[str, Any]) -> str | None:
    """Return why arms cannot simply be compared: what they were drawn with depends on the time."""
    if experiment["allocation"] == "thompson":
        return (
            "Its weights follow the results (allocation: thompson), so plain means of its arms "
            "would be biased: it names no winner by itself, and leads go where it pays meanwhile."
        )
    if experiment["has_changing_shares"]:
        return (
            "Its weights or the share held out changed after the first draw, so the arms differ in "
            "when they were drawn as well: it names no winner. Begin again under a new id."
        )
    return None


def _hold_back(
    experiment: Mapping[str, Any],
    design: Design,
    primary: _Metric | None,
    reason: str,
    facts: tuple[date, pl.DataFrame],
) -> dict[str, Any]:
    """Return the evidence of a look without plain comparisons, so that no wrong number is shown.

    Arms of a bandit are compared by its daily batches; nothing is decided by that.
    """
    today, days = facts
    is_bandit = experiment["allocation"] == "thompson"
    pairs = compare_bandit(experiment["experiment_id"], design, days) if is_bandit else []
    empty = decide_experiment(design, [])
    decision = replace(
        empty,
        state="running",
        reason=reason,
        control=design.control,
        n=sum(arm.stats.n for arm in primary.arms) if primary else 0,
        n_assigned=sum(arm.n_assigned for arm in primary.arms) if primary else 0,
        evidence={**empty.evidence, "state": "running"},
    )
    return {
        **decision.evidence,
        "has_full_week": False,
        "secondary": [],
        "comparisons": [_comparison_row(experiment["experiment_id"], pair) for pair in pairs],
        "row": _decision_row(experiment["experiment_id"], design, decision, today),
    }


def _compare_secondary(
    design: Design,
    metrics: Mapping[str, _Metric],
    previous: Mapping[str, Any],
    priors: Mapping[str, Prior],
) -> list[Comparison]:
    """Compare arms on the other metrics, always open, decisive by e-BH over all of them."""
    stored: Sequence[Mapping[str, Any]] = previous.get("secondary", ())
    pairs: list[Comparison] = []
    for name, metric in metrics.items():
        if not metric.is_primary and name not in NOT_COMPARED:
            pairs += compare_arms(
                replace(
                    design,
                    metric=name,
                    mode="open",
                    prior=priors.get(metric_kind(name), Prior()),
                ),
                metric.arms,
                [evidence for evidence in stored if evidence["metric"] == name],
                is_primary=False,
            )
    # Evidence whose interval still holds zero counts as none: an e-value may always be lowered, so
    # e-BH stays valid, and no row is called decisive beside an interval that contradicts it.
    rejected = rejected_by_evidence(
        [pair.log_e if pair.is_decisive else -math.inf for pair in pairs],
        SECONDARY_FALSE_DISCOVERY_RATE,
    )
    return [
        replace(pair, is_decisive=is_rejected)
        for pair, is_rejected in zip(pairs, rejected, strict=True)
    ]


def _decision_row(
    experiment_id: str, design: Design, decision: Decision, today: date
) -> dict[str, Any]:
    """Return the row of a decision as plain values, without its evidence."""
    low, high = decision.interval or (None, None)
    best = max(decision.best.values(), key=lambda arm: arm.probability, default=None)
    if decision.winner:
        best = decision.best.get(decision.winner)
    return {
        "experiment_id": experiment_id,
        "metric": design.metric,
        "looked_on": today.isoformat(),
        "state": decision.state,
        "winner": decision.winner,
        "reason": decision.reason,
        "mode": design.mode,
        "alpha": design.alpha,
        "control": decision.control,
        "n": decision.n,
        "n_assigned": decision.n_assigned,
        "effect": decision.effect,
        "interval_low": low,
        "interval_high": high,
        "relative_lift": decision.relative_lift,
        **_shrunk_columns(decision.shrunk),
        "probability_best": best.probability if best else None,
        "expected_loss": best.loss if best else None,
        "prior_spread": design.prior.spread,
        "prior_tests": design.prior.count_tests,
        "p_value": decision.p_value,
        "sample_ratio_p": decision.sample_ratio.p_value,
        "sample_ratio_log_e": decision.sample_ratio.log_e,
    }


def _comparison_row(experiment_id: str, pair: Comparison) -> dict[str, Any]:
    """Return the row of a comparison as plain values."""
    shrunk = _shrunk_columns(pair.shrunk)
    better = pair.shrunk.probability_better if pair.shrunk else None
    adjusted = ("adjusted_effect", "adjusted_low", "adjusted_high")
    columns: Iterable[str] = COMPARISONS_SCHEMA.keys() - {
        "experiment_id",
        "probability_better",
        *shrunk,
        *adjusted,
    }
    return {
        "experiment_id": experiment_id,
        **{name: getattr(pair, name) for name in columns},
        **shrunk,
        "probability_better": better,
        **dict.fromkeys(adjusted),
    }


def _shrunk_columns(shrunk: Shrunk | None) -> dict[str, float | None]:
    if shrunk is None:
        return {"shrunk_effect": None, "shrunk_low": None, "shrunk_high": None}
    return {
        "shrunk_effect": shrunk.effect,
        "shrunk_low": shrunk.low,
        "shrunk_high": shrunk.high,
    }


def _restore_row(evidence: Mapping[str, Any], *, is_auto: bool) -> dict[str, Any]:
    """Return the row of a look from its evidence, new or stored."""
    row = dict(evidence["row"])
    # What a person has changed since, in the ledger's row, stands above the stored text.
    row |= {"state": evidence["state"], "winner": evidence["winner"]}
    row["looked_on"] = date.fromisoformat(row["looked_on"])
    row["is_auto"] = is_auto
    row["evidence"] = json.dumps(evidence, allow_nan=False, sort_keys=True)
    return row
