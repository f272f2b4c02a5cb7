"""How many convert by which day: Kaplan-Meier curves that keep the leads still open.

Belongs here: curves over time from enrollment. Does not: comparing arms (`experiments`), cohort
tables by week (dbt models).
"""

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import special
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.stats.proportion import proportion_confint

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95

CURVES_SCHEMA: dict[str, pl.DataType] = {
    "sequence_id": pl.String(),
    "group": pl.String(),
    "day": pl.Int64(),
    "n_at_risk": pl.Int64(),
    "count_converted": pl.Int64(),
    "share_converted": pl.Float64(),
    "interval_low": pl.Float64(),
    "interval_high": pl.Float64(),
}


def conversion_curves(time_to_conversion: pl.DataFrame) -> pl.DataFrame:
    """Return the share converted by each day on which somebody converted.

    One row per sequence, group ('treated' or 'held_out') and such day. Leads not converted are at
    risk until they were last observed; leaving them out would overstate the share. Intervals are
    log-log with Greenwood's variance, pointwise at 95 %. A sequence without conversions has no row.

    Args:
        time_to_conversion: marts.time_to_conversion; `duration_whole_days` is used.
    """
    # Days are few and leads are many: each day enters once, weighted by its leads.
    counts = (
        time_to_conversion.lazy()
        .drop_nulls("duration_whole_days")
        .select(
            "sequence_id",
            group=pl.when("is_holdout").then(pl.lit("held_out")).otherwise(pl.lit("treated")),
            day=pl.col("duration_whole_days").cast(pl.Int64).clip(lower_bound=0),
            is_converted="is_converted",
        )
        .group_by("sequence_id", "group", "day", "is_converted")
        .len("count")
        .sort("sequence_id", "group", "day", "is_converted")
        .collect()
    )
    curves = [
        _fit_curve(str(sequence_id), str(group), rows)
        for (sequence_id, group), rows in counts.group_by(
            "sequence_id", "group", maintain_order=True
        )
        if rows["is_converted"].any()
    ]
    return pl.concat([pl.DataFrame(schema=CURVES_SCHEMA), *curves])


def share_converted_by(curve: pl.DataFrame, days: int) -> float:
    """Return the share converted by the end of a day, from the rows of one sequence and group."""
    reached = curve.filter(pl.col("day") <= days)["share_converted"].max()
    return float(reached) if isinstance(reached, float) else 0.0


def _fit_curve(sequence_id: str, group: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the curve of one group from counts by day and status."""
    fitted = SurvfuncRight(
        rows["day"].to_numpy(),
        rows["is_converted"].cast(pl.Int64).to_numpy(),
        freq_weights=rows["count"].cast(pl.Float64).to_numpy(),
    )
    surviving = np.clip(fitted.surv_prob, 0.0, 1.0)
    low, high = _log_log_interval(surviving, fitted.n_risk, fitted.n_events)
    return pl.DataFrame(
        {
            "sequence_id": [sequence_id] * len(surviving),
            "group": [group] * len(surviving),
            "day": fitted.surv_times.astype(np.int64),
            "n_at_risk": np.rint(fitted.n_risk).astype(np.int64),
            "count_converted": np.rint(fitted.n_events).astype(np.int64),
            "share_converted": 1 - surviving,
            "interval_low": low,
            "interval_high": high,
        },
        schema=CURVES_SCHEMA,
    )


def _log_log_interval(surviving: Floats, at_risk: Floats, events: Floats) -> tuple[Floats, Floats]:
    """Return the interval of the share converted, from the log-log interval of survival.

    Greenwood's sum is taken here because `surv_prob_se` is the error of the cumulative hazard, not
    of the curve, when statsmodels is given weights.
    """
    is_open = at_risk > events
    rest = np.where(is_open, at_risk - events, 1.0)
    greenwood = np.sqrt(np.cumsum(np.where(is_open, events / (at_risk * rest), 0.0)))
    inside = np.clip(surviving, 1e-300, 1 - 1e-16)
    spread = np.exp(special.ndtri(0.5 + CONFIDENCE / 2) * greenwood / -np.log(inside))
    low, high = 1 - inside ** (1 / spread), 1 - inside**spread
    if not is_open[-1]:
        # Everybody at risk has converted: the variance is gone, what was certain before still is.
        everybody = proportion_confint(at_risk[-1], at_risk[-1], 1 - CONFIDENCE, method="beta")
        low[-1] = low[-2] if len(low) > 1 else everybody[0]
        high[-1] = 1.0
    share = 1 - surviving
    return np.minimum(np.clip(low, 0, 1), share), np.maximum(np.clip(high, 0, 1), share)
