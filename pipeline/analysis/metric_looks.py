"""One look at all metrics of all experiments: every comparison, secondary ones by their evidence.

Belongs here: columns of arms to columns of comparisons, and those to the rows of each experiment.
Does not: pairs and what is seen of them (`pairs`), which experiment is due (`decisions`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.analysis.adjustment import adjust_groups
from pipeline.analysis.arm_columns import MetricArms
from pipeline.analysis.pairs import (
    UNSEEN,
    Bools,
    Floats,
    Looks,
    Pairs,
    pair_arms,
    take_looks,
    tell_evidence,
    tell_rows,
)
from pipeline.analysis.sequential import reject_families

SECONDARY_FALSE_DISCOVERY_RATE = 0.10


@dataclass(frozen=True)
class MetricLooks:
    """What one look says of every pair of arms; secondary pairs are decisive by e-BH.

    `adjusted` is the effect, with the ends of its interval, without what engagement before the draw
    explains: shown beside the plain one of the deciding metric, which decides.
    """

    metrics: MetricArms
    pairs: Pairs
    looks: Looks
    adjusted: Mapping[str, Floats]
    before: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ExperimentLook:
    """What one look says of one experiment, pair by pair; those of the deciding metric come first.

    Attributes:
        seen: what `Looks` tells of each pair of the deciding metric.
        evidence: what its next look needs of each of them.
        secondary: the same of the other pairs.
        rows: all pairs, as the table of comparisons has them.
    """

    seen: list[dict[str, Any]] = field(default_factory=list)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    secondary: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def look_at_metrics(metrics: MetricArms, known: Mapping[str, Mapping[str, Any]]) -> MetricLooks:
    """Compare all arms of all metrics, column by column.

    Args:
        metrics: the metrics to compare.
        known: the evidence of the look before, by experiment.
    """
    stats = metrics.arms.stats
    pairs = pair_arms(metrics.arms, metrics.rules)
    before = _remember(metrics, pairs, known)
    looks = take_looks(pairs.rule, stats.rows(pairs.arm), stats.rows(pairs.baseline), before)
    is_primary = metrics.is_primary[pairs.arm]
    rejected = _reject(metrics, pairs, looks, ~is_primary)
    looks = replace(looks, is_decisive=np.where(is_primary, looks.is_decisive, rejected))
    return MetricLooks(metrics, pairs, looks, _adjust(metrics, pairs, looks, is_primary), before)


def tell_experiments(found: MetricLooks) -> dict[str, ExperimentLook]:
    """Return what was seen by experiment, as plain values."""
    frame, pairs, looks = found.metrics.frame, found.pairs, found.looks
    of_arm = frame[pairs.arm]
    names = of_arm["arm"].to_list(), frame["arm"].gather(pairs.baseline).to_list()
    evidence = tell_evidence(looks, pairs.rule, names, found.before)
    rows = tell_rows(
        {
            "experiment_id": of_arm["experiment_id"].to_list(),
            "metric": of_arm["metric"].to_list(),
            "is_primary": of_arm["is_primary"].to_list(),
            "arm": names[0],
            "baseline": names[1],
            "is_against_held_out": pairs.is_against_held_out,
            "n_arm": of_arm["n"].to_list(),
            "n_baseline": frame["n"].gather(pairs.baseline).to_list(),
            **looks.columns(),
            **found.adjusted,
        }
    )
    told: dict[str, ExperimentLook] = {}
    for row, known in zip(rows, evidence, strict=True):
        look = told.setdefault(row["experiment_id"], ExperimentLook())
        if row["is_primary"]:
            look.seen.append(row)
            look.evidence.append(known)
        else:
            look.secondary.append({**known, "metric": row["metric"]})
        look.rows.append(row)
    return told


def _remember(
    metrics: MetricArms, pairs: Pairs, known: Mapping[str, Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return what is remembered of each pair; an empty list where nothing is known at all."""
    if not known:
        return []
    stored: dict[tuple[str, str | None, frozenset[str]], Mapping[str, Any]] = {}
    for experiment_id, evidence in known.items():
        for found in (*evidence.get("pairs", ()), *evidence.get("secondary", ())):
            names = frozenset((found["arm"], found["baseline"]))
            stored[experiment_id, found.get("metric"), names] = found
    columns = [
        metrics.frame[name].gather(pairs.arm).to_list()
        for name in ("experiment_id", "metric", "arm")
    ]
    baselines = metrics.frame["arm"].gather(pairs.baseline).to_list()
    # Evidence of the metric that decides does not name it.
    is_primary = metrics.is_primary[pairs.arm].tolist()
    return [
        stored.get((experiment_id, None if decides else metric, frozenset((arm, baseline))), UNSEEN)
        for experiment_id, metric, arm, baseline, decides in zip(
            *columns, baselines, is_primary, strict=True
        )
    ]


def _reject(metrics: MetricArms, pairs: Pairs, looks: Looks, is_secondary: Bools) -> Bools:
    """Return which secondary pairs e-BH rejects, in a family for each experiment.

    Evidence whose interval still holds zero counts as none: an e-value may always be lowered, so
    e-BH stays valid, and no row is called decisive beside an interval that contradicts it.
    """
    rows = np.flatnonzero(is_secondary)
    found = np.zeros(len(is_secondary), dtype=np.bool_)
    found[rows] = reject_families(
        np.where(looks.is_decisive, looks.log_e, -np.inf)[rows],
        metrics.experiment[pairs.arm[rows]],
        SECONDARY_FALSE_DISCOVERY_RATE,
    )
    return found


def _adjust(
    metrics: MetricArms, pairs: Pairs, looks: Looks, is_primary: Bools
) -> dict[str, Floats]:
    """Return the effects without what engagement before the draw explains, where it is shown.

    The same multiplier as the unadjusted interval has.
    """
    stats = adjust_groups(metrics.engaged, metrics.arms.group)
    with np.errstate(all="ignore"):
        effect = stats.mean[pairs.arm] - stats.mean[pairs.baseline]
        squared = stats.variance / stats.n
        reach = looks.multiplier * np.sqrt(squared[pairs.arm] + squared[pairs.baseline])
    is_shown = is_primary & looks.is_looked
    return {
        "adjusted_effect": np.where(is_shown, effect, np.nan),
        "adjusted_low": np.where(is_shown, effect - reach, np.nan),
        "adjusted_high": np.where(is_shown, effect + reach, np.nan),
    }
