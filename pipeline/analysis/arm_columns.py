"""The arms of every metric of every experiment as columns, out of the mart of their days.

Belongs here: days to sums, the order of metrics and arms, the rule of each metric. Does not: a look
at them (`metric_looks`), what follows (`decisions`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import polars as pl

from pipeline.analysis.adjustment import PairedSums
from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.comparisons import Arm, Role
from pipeline.analysis.guardrails import Exposure
from pipeline.analysis.pairs import Arms, Bools, GroupRules, Ints
from pipeline.analysis.shrinkage import FALLBACK_SPREAD, Prior

# They are watched one-sided and exactly, or tell whether arms are comparable at all.
NOT_COMPARED = ("complained", "bounced", "unsent")


@dataclass(frozen=True)
class MetricArms:
    """The metrics whose arms are compared, column by column.

    Attributes:
        frame: the same arms, one row per experiment, metric and arm, with their names.
        arms: what is paired; each metric of an experiment is a group.
        rules: the rule of each group.
        engaged: the outcome of each arm beside who had reacted before the draw.
        is_primary: whether the metric decides.
        experiment: numbers the experiment of each arm, from 0.
    """

    frame: pl.DataFrame
    arms: Arms
    rules: GroupRules
    engaged: PairedSums
    is_primary: Bools
    experiment: Ints


def order_days(
    experiments: pl.DataFrame, days: pl.DataFrame, priors: Mapping[str, Prior]
) -> pl.DataFrame:
    """Sum the days of all arms; return arms by experiment and metric, ranked as baselines.

    The metric that decides comes first. Every arm has the rule of its metric beside it: one that
    does not decide is always open.

    Args:
        experiments: marts.experiments, with each experiment's rule.
        days: marts.experiment_arms, one row per experiment, metric, arm and day.
        priors: how large effects are, by kind of metric.
    """
    rules = experiments.select(
        "experiment_id",
        pl.col("control").cast(pl.String),
        pl.col("alpha").cast(pl.Float64),
        pl.col("planned_leads").cast(pl.Float64).fill_null(0),
        pl.col("mode").eq("planned").alias("is_mode_planned"),
    )
    frame = (
        _sum_days(days)
        .join(rules, on="experiment_id", maintain_order="left")
        .sort("experiment_id", ~pl.col("is_primary"), "metric", maintain_order=True)
        .with_columns(
            pl.col("arm").rank("dense").alias("name_rank"),
            (pl.col("role") != "held_out").alias("competes"),
            (pl.col("role") == "control").alias("is_control"),
            (pl.col("arm") == pl.col("control")).fill_null(value=False).alias("is_named"),
            (pl.col("is_mode_planned") & pl.col("is_primary")).alias("is_planned"),
            _spread_of(pl.col("metric"), priors).alias("prior_spread"),
        )
    )
    return frame[_arms(frame).order()]


def compared_arms(frame: pl.DataFrame, experiments: Sequence[str]) -> MetricArms:
    """Return the metrics of these experiments whose arms are compared, out of `order_days`."""
    kept = frame.filter(
        pl.col("experiment_id").is_in(experiments)
        & (pl.col("is_primary") | ~pl.col("metric").is_in(NOT_COMPARED))
    )
    arms = _arms(kept)
    first = np.flatnonzero(np.diff(arms.group, prepend=-1))
    rules = ("alpha", "planned_leads", "is_planned", "prior_spread")
    stats, engaged = arms.stats, kept["n_engaged"].to_numpy()
    return MetricArms(
        frame=kept,
        arms=arms,
        rules=GroupRules(*(kept[name].to_numpy()[first] for name in rules)),
        engaged=PairedSums(
            stats.n,
            stats.sum,
            stats.sum_squares,
            engaged,
            engaged,
            kept["sum_engaged"].to_numpy(),
        ),
        is_primary=kept["is_primary"].to_numpy(),
        experiment=kept["experiment_id"].rle_id().cast(pl.Int64).to_numpy(),
    )


def _arms(frame: pl.DataFrame) -> Arms:
    """Return the columns that are ordered and paired."""
    column = {
        name: frame[name].to_numpy()
        for name in ("name_rank", "competes", "is_control", "is_named", "share")
    }
    group = frame.select(pl.struct("experiment_id", "metric").rle_id().cast(pl.Int64)).to_series()
    return Arms(
        group=group.to_numpy(),
        name=column["name_rank"],
        competes=column["competes"],
        is_control=column["is_control"],
        is_named=column["is_named"],
        share=column["share"],
        stats=ArmStats(*(frame[name].to_numpy() for name in ("n", "sum", "sum_squares"))),
    )


def read_arm(row: Mapping[str, Any]) -> Arm:
    """Return one row of `order_days` as an object."""
    return Arm(
        name=row["arm"],
        role=cast("Role", row["role"]),
        share=row["share"],
        n_assigned=row["n_assigned"],
        count_so_far=row["sum_so_far"],
        stats=ArmStats(row["n"], row["sum"], row["sum_squares"]),
    )


def read_exposure(
    row: Mapping[str, Any], days: Mapping[str, Sequence[int]] | None = None
) -> Exposure:
    """Return one row of a guardrail as the bad events of an arm, with its days if they matter."""
    n, count = row["n_assigned"], round(row["sum_so_far"])
    return Exposure(row["arm"], n, count, row["share"], row["is_named"], days or {})


def read_days(days: pl.DataFrame, experiment_id: str, metric: str) -> dict[str, dict[str, Any]]:
    """Return leads drawn and bad events so far of each arm by day: {arm: {day: (n, count)}}.

    Args:
        days: marts.experiment_arms.
        experiment_id: of which experiment.
        metric: of which guardrail.
    """
    rows = days.filter(experiment_id=experiment_id, metric=metric).sort("arm", "assigned_on")
    found: dict[str, dict[str, Any]] = {}
    for row in rows.filter(pl.col("n_assigned") > 0).iter_rows(named=True):
        counts = row["n_assigned"], round(row["sum_so_far"])
        found.setdefault(row["arm"], {})[row["assigned_on"].isoformat()] = counts
    return found


def _sum_days(arms: pl.DataFrame) -> pl.DataFrame:
    # Sorted first: sums of floats must not depend on the order of the rows.
    return (
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


def _spread_of(metric: pl.Expr, priors: Mapping[str, Prior]) -> pl.Expr:
    """Return how large effects on a metric are, by what earlier tests of its kind found."""
    kind = metric.str.extract(r"^([^(]*)")
    spreads = {name: prior.spread for name, prior in priors.items()}
    return kind.replace_strict(spreads, default=FALLBACK_SPREAD, return_dtype=pl.Float64)
