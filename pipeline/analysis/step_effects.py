"""What a step brings beyond the rest of its sequence, from those who were held out there by lot.

Belongs here: the difference in conversions, with its cost beside it (statistics.md 2.16), where the
lot was kept (2.5). Does not: counting (marts.step_holdouts), replies after a step, which are no
effect (marts.funnel_steps).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from pipeline.analysis import reasons
from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.comparisons import Arm, Design, Role, compare_arms
from pipeline.analysis.sample_ratio import SampleRatio, check_sample_ratio

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
    "sample_ratio_p": pl.Float64(),
    "alarm": pl.String(),
}


def step_effects(step_holdouts: pl.DataFrame) -> pl.DataFrame:
    """Return one row per step with a holdout of its own and metric: what the step adds.

    The interval holds at every look and stands once both groups have 100 leads and ten outcomes; a
    step without held-out leads has no row, since what follows it is no effect of it. Where another
    share was held out than declared, no effect is claimed and `alarm` says why.

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
    ratio = _sample_ratio(sent, held_out)
    is_sound = not (ratio and ratio.is_alarm)
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
            "effect": pair.effect if is_sound else None,
            "interval_low": pair.interval_low if is_sound else None,
            "interval_high": pair.interval_high if is_sound else None,
            "is_decisive": pair.is_decisive and is_sound,
            "sample_ratio_p": ratio.p_value if ratio else None,
            "alarm": None if is_sound or ratio is None else reasons.holdout_alarm(ratio),
        }


def _sample_ratio(sent: Mapping[str, Any], held_out: Mapping[str, Any]) -> SampleRatio | None:
    """Check how leads were split at the step; None where no version says which share to hold out.

    Leads are counted: whoever comes back has drawn the same lot again.
    """
    share = held_out["share_declared"]
    if share is None:
        return None
    return check_sample_ratio(
        {"sent": sent["count_leads"], "held out": held_out["count_leads"]},
        {"sent": 1 - share, "held out": share},
    )


def _arm(name: str, role: Role, count: int, row: dict[str, Any]) -> Arm:
    stats = ArmStats(row["n"], float(count), float(count))
    return Arm(name, role, n_assigned=row["n_reached"], stats=stats)
