"""The tables of decisions and comparisons: their columns, and their rows out of a look.

Belongs here: schemas, decisions and comparisons as plain values, a stored look as its row again, or
taken again.
Does not: taking a look (`decisions`), the tables in the warehouse (`tables`).
"""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from pipeline.analysis.adaptive import Batch, compare_bandit
from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.comparisons import Arm, Comparison, Design
from pipeline.analysis.experiments import Decision, decide_experiment
from pipeline.analysis.guardrails import Exposure
from pipeline.analysis.held_back import hold_back
from pipeline.analysis.shrinkage import Prior, Shrunk

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


def decision_row(
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


def comparison_row(experiment_id: str, pair: Comparison) -> dict[str, Any]:
    """Return the row of a comparison as plain values; it has no adjusted effect."""
    row = {name: getattr(pair, name, None) for name in COMPARISONS_SCHEMA}
    row |= {"experiment_id": experiment_id, **_shrunk_columns(pair.shrunk)}
    if pair.shrunk:
        row["probability_better"] = float(pair.shrunk.probability_better)
    return row


def publish_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return of what was seen of a pair what the table has."""
    return {name: row[name] for name in COMPARISONS_SCHEMA}


def _shrunk_columns(shrunk: Shrunk | None) -> dict[str, float | None]:
    if shrunk is None:
        return {"shrunk_effect": None, "shrunk_low": None, "shrunk_high": None}
    return {
        "shrunk_effect": shrunk.effect,
        "shrunk_low": shrunk.low,
        "shrunk_high": shrunk.high,
    }


def restore_row(evidence: Mapping[str, Any], *, is_auto: bool) -> dict[str, Any]:
    """Return the row of a look from its evidence, new or stored."""
    row = dict(evidence["row"])
    # What a person has changed since, in the ledger's row, stands above the stored text.
    row |= {"state": evidence["state"], "winner": evidence["winner"]}
    row["looked_on"] = date.fromisoformat(row["looked_on"])
    row["is_auto"] = is_auto
    row["evidence"] = json.dumps(evidence, allow_nan=False, sort_keys=True)
    return row


def recompute(evidence: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Decision:
    """Take a stored look again, from nothing but what was stored: the same decision comes out.

    Args:
        evidence: of the look, as the ledger has it.
        before: that of the look before it, with the state and winner of its row; none at the first.
    """
    lost, caveat = evidence["lost"], evidence["caveat"]
    design = Design(**{**evidence["design"], "prior": Prior(**evidence["design"]["prior"])})
    arms = [Arm(**{**arm, "stats": ArmStats(**arm["stats"])}) for arm in evidence["arms"]]
    exposures = {
        metric: [Exposure(**arm) for arm in of_metric]
        for metric, of_metric in evidence["exposures"].items()
    }
    if "held_back" in evidence:
        return hold_back(evidence["held_back"], design, arms, exposures, before or {}, caveat)
    return decide_experiment(
        design,
        arms,
        previous=before,
        conflicting_units=evidence["conflicting_units"],
        exposures=exposures,
        lost=lost["observed"] if lost else None,
        caveat=caveat,
    )


def recompute_bandit(evidence: Mapping[str, Any]) -> list[Comparison]:
    """Compare the arms of a bandit again, from nothing but what a look has stored."""
    design = Design(**{**evidence["design"], "prior": Prior(**evidence["design"]["prior"])})
    batches = {
        arm: {day: Batch(*batch) for day, batch in of_day.items()}
        for arm, of_day in evidence["batches"].items()
    }
    return compare_bandit(design, batches)
