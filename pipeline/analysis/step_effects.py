"""What a step brings beyond the rest of its sequence, from those who were held out there by lot.

Belongs here: the difference in conversions, with its cost beside it (statistics.md 2.16). Does not:
counting (marts.step_holdouts), replies after a step, which are no effect (marts.funnel_steps).
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.comparisons import Arm, Design, Role, compare_arms

METRICS = {"converted": "count_converted", "unsubscribed": "count_unsubscribed"}

STEP_EFFECTS_SCHEMA: dict[str, pl.DataType] = {
    "sequence_id": pl.String(),
    "step_id": pl.String(),
    "metric": pl.String(),
    "n_sent": pl.Int64(),
    "n_held_out": pl.Int64(),
    "rate_sent": pl.Float64(),
    "rate_held_out": pl.Float64(),
    "effect": pl.Float64(),
    "interval_low": pl.Float64(),
    "interval_high": pl.Float64(),
    "is_decisive": pl.Boolean(),
}


def step_effects(step_holdouts: pl.DataFrame) -> pl.DataFrame:
    """Return one row per step with a holdout of its own and metric: what the step adds.

    The interval holds at every look and stands once both groups have 100 leads and ten outcomes; a
    step without held-out leads has no row, since what follows it is no effect of it.

    Args:
        step_holdouts: marts.step_holdouts.
    """
    rows = [
        row
        for _, found in step_holdouts.sort("sequence_id", "step_id", "is_held_out").group_by(
            "sequence_id", "step_id", maintain_order=True
        )
        for row in _of_step({row["is_held_out"]: row for row in found.to_dicts()})
    ]
    return pl.DataFrame(rows, schema=STEP_EFFECTS_SCHEMA, orient="row")


def _of_step(groups: dict[bool, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if set(groups) != {False, True}:
        return
    sent, held_out = groups[False], groups[True]
    for metric, column in METRICS.items():
        arm = _arm("sent", "treatment", sent[column], sent)
        baseline = _arm("held out", "held_out", held_out[column], held_out)
        (pair,) = compare_arms(Design(metric=metric), [arm, baseline])
        yield {
            "sequence_id": sent["sequence_id"],
            "step_id": sent["step_id"],
            "metric": metric,
            "n_sent": pair.n_arm,
            "n_held_out": pair.n_baseline,
            "rate_sent": pair.mean_arm,
            "rate_held_out": pair.mean_baseline,
            "effect": pair.effect,
            "interval_low": pair.interval_low,
            "interval_high": pair.interval_high,
            "is_decisive": pair.is_decisive,
        }


def _arm(name: str, role: Role, count: int, row: dict[str, Any]) -> Arm:
    stats = ArmStats(row["n"], float(count), float(count))
    return Arm(name, role, n_assigned=row["n_reached"], stats=stats)
