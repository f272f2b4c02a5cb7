"""How many convert by which day, beside those who leave first: curves and a few numbers of each.

Belongs here: curves over time from enrollment, of sequences and their held-out leads. Does not: the
estimates themselves (`incidence`), comparing arms (`experiments`), cohort tables (dbt models).
"""

from collections.abc import Iterator
from typing import Any

import polars as pl
from scipy import stats

from pipeline.analysis.incidence import (
    OPEN,
    Risk,
    count_risk,
    difference_p,
    tell_curve,
)

CONVERTED = "converted"
GROUP_NAMES = {False: "treated", True: "held_out"}

CURVES_SCHEMA: dict[str, pl.DataType] = {
    "sequence_id": pl.String(),
    "group": pl.String(),
    "outcome": pl.String(),
    "day": pl.Int64(),
    "n_at_risk": pl.Int64(),
    "count_reached": pl.Int64(),
    "share": pl.Float64(),
    "interval_low": pl.Float64(),
    "interval_high": pl.Float64(),
}
TIMES_SCHEMA: dict[str, pl.DataType] = {
    "sequence_id": pl.String(),
    "group": pl.String(),
    "n": pl.Int64(),
    "count_converted": pl.Int64(),
    "count_left_before": pl.Int64(),
    "horizon_days": pl.Int64(),
    "mean_days_unconverted": pl.Float64(),
    "interval_low": pl.Float64(),
    "interval_high": pl.Float64(),
    "p_value_of_groups": pl.Float64(),
    "median_days": pl.Float64(),
    "quarter_of_converters_days": pl.Float64(),
    "half_of_converters_days": pl.Float64(),
    "eighty_of_converters_days": pl.Float64(),
}


def conversion_curves(time_to_conversion: pl.DataFrame) -> pl.DataFrame:
    """Return the share converted by each day on which somebody converted, and who left first.

    One row per sequence, group ('treated' or 'held_out'), outcome and day with such outcomes. Leads
    still open are at risk until they were last observed; leaving them out would overstate the
    share. Unsubscribes, bounces and stops by hand compete (Aalen-Johansen); without any of them it
    is Kaplan-Meier. Who left and converted all the same has converted: held-out leads cannot leave,
    and both groups are to be counted alike. Intervals are log-log, pointwise at 95 %. A sequence
    without conversions has no row.

    Args:
        time_to_conversion: marts.time_to_conversion; its whole days are used.
    """
    curves = [
        _curve(keys, risk, cause)
        for keys, risk in _risks(time_to_conversion)
        if CONVERTED in risk.causes
        for cause in risk.causes
    ]
    return pl.concat([pl.DataFrame(schema=CURVES_SCHEMA), *curves])


def conversion_times(time_to_conversion: pl.DataFrame) -> pl.DataFrame:
    """Return one row per sequence and group with conversions: how long it takes, in a few numbers.

    The horizon is the longest time for which all groups of a sequence were observed, so that their
    restricted means can be compared; the p-value is that of the difference between the groups. The
    quantiles of converters are conditional on who has converted so far: the shorter the time
    observed, the earlier they are. The median is null until half of all have converted.

    Args:
        time_to_conversion: as for `conversion_curves`.
    """
    by_sequence: dict[str, list[tuple[tuple[str, str], Risk]]] = {}
    for keys, risk in _risks(time_to_conversion):
        by_sequence.setdefault(keys[0], []).append((keys, risk))
    rows = [row for groups in by_sequence.values() for row in _times(groups)]
    return pl.DataFrame(rows, schema=TIMES_SCHEMA, orient="row")


def share_converted_by(curve: pl.DataFrame, days: int) -> float:
    """Return the share converted by the end of a day, from the rows of one sequence and group."""
    converted = curve.filter(pl.col("outcome") == CONVERTED, pl.col("day") <= days)
    reached = converted["share"].max()
    return float(reached) if isinstance(reached, float) else 0.0


def _risks(time_to_conversion: pl.DataFrame) -> Iterator[tuple[tuple[str, str], Risk]]:
    """Yield who was at risk when, per sequence and group."""
    day = pl.col("duration_whole_days").cast(pl.Int64).clip(lower_bound=0)
    # A conversion counts whenever it comes (R16), so who has converted has not left.
    has_left = pl.col("left_as").is_not_null() & ~pl.col("is_converted")
    # Days are few and leads are many: each day enters once, weighted by its leads.
    counts = (
        time_to_conversion.lazy()
        .drop_nulls("duration_whole_days")
        .select(
            "sequence_id",
            "is_holdout",
            day=pl.when(has_left).then(pl.col("left_whole_days").cast(pl.Int64)).otherwise(day),
            outcome=pl.when(has_left)
            .then("left_as")
            .when("is_converted")
            .then(pl.lit(CONVERTED))
            .otherwise(pl.lit(OPEN)),
            entry=pl.col("observed_from_whole_days").cast(pl.Int64),
        )
        .group_by("sequence_id", "is_holdout", "day", "outcome", "entry")
        .len("count")
        .sort("sequence_id", "is_holdout", "day", "outcome", "entry")
        .collect()
    )
    of_groups = counts.group_by("sequence_id", "is_holdout", maintain_order=True)
    for (sequence_id, is_holdout), rows in of_groups:
        risk = count_risk(
            rows["day"].to_numpy(),
            rows["outcome"].to_list(),
            rows["count"].to_numpy(),
            rows["entry"].to_numpy(),
        )
        yield (str(sequence_id), GROUP_NAMES[bool(is_holdout)]), risk


def _curve(keys: tuple[str, str], risk: Risk, cause: str) -> pl.DataFrame:
    names = {"sequence_id": keys[0], "group": keys[1], "outcome": cause}
    columns = [pl.lit(name).alias(column) for column, name in names.items()]
    return pl.DataFrame(tell_curve(risk, cause)).with_columns(columns).select(*CURVES_SCHEMA)


def _times(groups: list[tuple[tuple[str, str], Risk]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one sequence."""
    horizon = min(risk.last for _, risk in groups)
    converting = [(keys, risk) for keys, risk in groups if CONVERTED in risk.causes]
    means = [risk.restricted_mean(horizon, CONVERTED) for _, risk in converting]
    p_value = difference_p(*means) if len(means) == len(GROUP_NAMES) else None
    for ((sequence_id, group), risk), (mean, error) in zip(converting, means, strict=True):
        ends = dict(zip(risk.causes, risk.ends.sum(axis=1), strict=True))
        half = stats.norm.ppf(0.975) * error
        yield {
            "sequence_id": sequence_id,
            "group": group,
            "n": risk.count,
            "count_converted": round(ends.pop(CONVERTED)),
            "count_left_before": round(sum(ends.values())),
            "horizon_days": round(horizon),
            "mean_days_unconverted": mean,
            "interval_low": max(mean - half, 0.0),
            "interval_high": min(mean + half, horizon),
            "p_value_of_groups": p_value,
            "median_days": risk.quantile(0.5, CONVERTED, of_ends=False),
            "quarter_of_converters_days": risk.quantile(0.25, CONVERTED, of_ends=True),
            "half_of_converters_days": risk.quantile(0.5, CONVERTED, of_ends=True),
            "eighty_of_converters_days": risk.quantile(0.8, CONVERTED, of_ends=True),
        }
