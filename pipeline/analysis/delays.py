"""Which delay brings more replies: advice from randomised delays.

Belongs here: recommendations from delay experiments, with the estimate and its interval.
Does not: delays that varied for other reasons, which can suggest a test but never decide.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pipeline.analysis import reasons
from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.comparisons import Arm, Design
from pipeline.analysis.experiments import decide_experiment

EVIDENCE_LABEL = "randomised"
METRICS = {"replied": "count_replied", "converted": "count_converted"}
UNITS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}

DELAYS_SCHEMA: dict[str, pl.DataType] = {
    "experiment_id": pl.String(),
    "metric": pl.String(),
    "recommended_delay_seconds": pl.Int64(),
    "state": pl.String(),
    "reason": pl.String(),
    "evidence_label": pl.String(),
    "effect": pl.Float64(),
    "interval_low": pl.Float64(),
    "interval_high": pl.Float64(),
    "n": pl.Int64(),
}


def recommend_delays(
    delay_arms: pl.DataFrame, decisions: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return one row per delay experiment and metric: the delay to use, or "keep collecting".

    The estimand is the share of assigned leads that replied (converted) within the window from
    assignment, on matured leads; so a long delay has lost the days it waits, and a lead that has
    not answered yet is not counted against it. Decided by the open rule at 5 %, which holds at
    every look.

    Args:
        delay_arms: marts.delay_arms.
        decisions: the frame of `decide_experiments`; what it decided on the experiment's own
            metric stands here too, and an invalid experiment gives no advice.
    """
    decided: dict[str, dict[str, Any]] = {}
    if decisions is not None:
        decided = {row["experiment_id"]: row for row in decisions.iter_rows(named=True)}
    rows = []
    ordered = delay_arms.sort("experiment_id", "arm")
    for (experiment_id,), arms in ordered.group_by("experiment_id", maintain_order=True):
        of_experiment = arms.to_dicts()
        row = decided.get(str(experiment_id), {})
        rows += [_recommend(str(experiment_id), name, of_experiment, row) for name in METRICS]
    return pl.DataFrame(rows, schema=DELAYS_SCHEMA)


def name_delay(seconds: int) -> str:
    """Return a delay in its largest whole unit: "3 days", "36 hours"."""
    if seconds == 0:
        return "no delay"
    unit, size = next((unit, size) for unit, size in UNITS.items() if seconds % size == 0)
    count = seconds // size
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _recommend(
    experiment_id: str, metric: str, rows: Sequence[Mapping[str, Any]], decided: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the recommendation of one experiment on one metric."""
    assigned = sum(row["n_assigned"] for row in rows)
    arms = [
        Arm(
            name=row["arm"],
            role=row["role"],
            # The split was checked where the shares are known: by the experiment's decision.
            share=row["n_assigned"] / assigned if assigned else 0.0,
            n_assigned=row["n_assigned"],
            stats=ArmStats(row["n"], float(row[METRICS[metric]]), float(row[METRICS[metric]])),
        )
        for row in rows
    ]
    control = next((arm.name for arm in arms if arm.role == "control"), None)
    decision = decide_experiment(Design(metric=metric, control=control), arms)
    state: str = decision.state
    winner, found = decision.winner, decision.reason
    low, high = decision.interval or (None, None)
    result = {
        "experiment_id": experiment_id,
        "metric": metric,
        "evidence_label": EVIDENCE_LABEL,
        "effect": decision.effect,
        "interval_low": low,
        "interval_high": high,
        "n": decision.n,
    }
    if decided.get("state") == "invalid" or _is_metric(decided.get("metric"), metric):
        state, winner = decided["state"], decided["winner"]
        found = str(decided.get("reason") or found)
        copied = ("effect", "interval_low", "interval_high") if state != "invalid" else ()
        result |= {name: decided[name] for name in copied}
    delays = {row["arm"]: row["delay_seconds"] for row in rows}
    return {
        **result,
        "state": state,
        "recommended_delay_seconds": delays.get(winner),
        "reason": _reason(state, winner, delays, found),
    }


def _is_metric(metric: str | None, name: str) -> bool:
    """Return whether an experiment's own metric is the one named here."""
    return metric == name or (name == "converted" and str(metric).startswith("goal("))


def _reason(state: str, winner: str | None, delays: Mapping[str, int | None], found: str) -> str:
    """Return the advice in words; it always says that the evidence is randomised."""
    if state == "invalid":
        return f"Randomised, but not to be used. {found}"
    seconds = delays.get(winner) if winner else None
    if winner:
        name = winner if seconds is None else name_delay(seconds)
        return f"Randomised: wait {name} ({winner}). {found}"
    if state == "either_of":
        return f"Randomised: no single delay is best. {found}"
    if state == "no_difference":
        return f"Randomised: the delay makes no difference that can be told. {found}"
    known = [name_delay(delay) for delay in sorted({d for d in delays.values() if d is not None})]
    return f"Randomised: keep collecting; {reasons.listed(known)} cannot be told apart yet. {found}"
