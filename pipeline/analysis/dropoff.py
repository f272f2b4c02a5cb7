"""At which step people leave, and why: hazards per step, and shares over all steps.

Belongs here: the chance of each end among those still in at a step (statistics.md 2.16). Does not:
counting (marts.step_endings), what a step brings (its holdout), words about it (`insights`).

A share of everybody and a share of those who are still in are two things: late steps reach few, so
they lose few of all, and may still lose every second one of theirs. Who is still in a sequence has
not dropped out of it: they count as long as they were seen.
"""

from typing import Any

import polars as pl
from statsmodels.stats.proportion import proportion_confint

from pipeline.analysis.incidence import OPEN, count_risk, log_log_interval

STILL_IN = ("active", "paused")
_GRAIN = ("sequence_id", "version", "step_ix", "step_id", "ended_as", "is_dropped")

DROP_OFF_SCHEMA: dict[str, pl.DataType] = {
    "sequence_id": pl.String(),
    "version": pl.String(),
    "step_ix": pl.Int64(),
    "step_id": pl.String(),
    "ended_as": pl.String(),
    "is_dropped": pl.Boolean(),
    "n_at_risk": pl.Int64(),
    "count_ended": pl.Int64(),
    "hazard": pl.Float64(),
    "hazard_low": pl.Float64(),
    "hazard_high": pl.Float64(),
    "share": pl.Float64(),
    "share_low": pl.Float64(),
    "share_high": pl.Float64(),
}


def drop_off(step_endings: pl.DataFrame) -> pl.DataFrame:
    """Return one row per sequence, version, step and way in which somebody ended there.

    The hazard is of those who came so far: whose last step is this one or a later one (Wilson, 95
    %). The share is of all who entered (Aalen-Johansen over steps), with who is still in counted
    as far as they came. An edit begins a new version, and with it a new cohort.

    Args:
        step_endings: marts.step_endings.
    """
    counts = (
        step_endings.group_by(
            "sequence_id", "version", "step_ix", "step_id", "ended_as", "is_dropped"
        )
        .agg(pl.col("count_enrollments").sum())
        .sort("sequence_id", "version", "step_ix", "step_id", "ended_as", "is_dropped")
    )
    rows: list[dict[str, Any]] = []
    for keys, found in counts.group_by("sequence_id", "version", maintain_order=True):
        rows += _of_version(keys, found)
    return pl.DataFrame(rows, schema=DROP_OFF_SCHEMA, orient="row")


def _of_version(keys: tuple[object, ...], found: pl.DataFrame) -> list[dict[str, Any]]:
    ended_as = [OPEN if end in STILL_IN else end for end in found["ended_as"]]
    risk = count_risk(found["step_ix"], ended_as, found["count_enrollments"])
    at_risk = dict(zip(risk.times.tolist(), risk.at_risk.tolist(), strict=True))
    shares: dict[tuple[str, float], tuple[float, float, float]] = {}
    for cause in risk.causes:
        share, error = risk.shares(cause)
        bounds = zip(share.tolist(), *map(list, log_log_interval(risk, share, error)), strict=True)
        for time, (value, low, high) in zip(risk.times.tolist(), bounds, strict=True):
            shares[cause, time] = (value, float(low), float(high))
    rows = []
    for row in found.filter(~pl.col("ended_as").is_in(STILL_IN)).to_dicts():
        n, count = round(at_risk[row["step_ix"]]), row["count_enrollments"]
        below, above = proportion_confint(count, n, method="wilson")
        of_all = shares[row["ended_as"], row["step_ix"]]
        rows.append(
            {
                "sequence_id": keys[0],
                "version": keys[1],
                "step_ix": row["step_ix"],
                "step_id": row["step_id"],
                "ended_as": row["ended_as"],
                "is_dropped": row["is_dropped"],
                "n_at_risk": n,
                "count_ended": count,
                "hazard": count / n,
                "hazard_low": max(float(below), 0.0),
                "hazard_high": min(float(above), 1.0),
                **dict(zip(("share", "share_low", "share_high"), of_all, strict=True)),
            }
        )
    return rows
