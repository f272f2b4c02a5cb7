"""The decisions and comparisons of all experiments as frames, one look a day each.

Belongs here: which experiments are looked at today, the looks at all of them, their evidence.
Does not: the mart as columns (`arm_columns`), comparing (`metric_looks`), the states
(`experiments`), the rows (`decision_rows`), reading or writing tables (`tables`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, cast

import polars as pl

from pipeline.analysis.adaptive import compare_bandit, read_batches
from pipeline.analysis.arm_columns import (
    compared_arms,
    order_days,
    read_arm,
    read_days,
    read_exposure,
)
from pipeline.analysis.comparisons import Design, Mode, tell_comparison
from pipeline.analysis.decision_rows import (
    COMPARISONS_SCHEMA,
    DECISIONS_SCHEMA,
    comparison_row,
    decision_row,
    publish_row,
    restore_row,
)
from pipeline.analysis.experiments import Case, decide_cases
from pipeline.analysis.guardrails import METRICS as GUARDRAIL_METRICS
from pipeline.analysis.held_back import hold_back
from pipeline.analysis.metric_looks import ExperimentLook, look_at_metrics, tell_experiments
from pipeline.analysis.priors import learn_priors, metric_kind
from pipeline.analysis.reasons import FEW_SENDERS
from pipeline.analysis.shrinkage import Prior

# A look belongs to the workspace day that began at 06:00 (rules.md R15).
LOOK_HOUR = timedelta(hours=6)
FULL_WEEK = timedelta(days=6)
# Counts leads whose message never went out.
LOST = "unsent"

Rows = list[dict[str, Any]]


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
    asked = experiments.sort("experiment_id")
    latest = {row["experiment_id"]: row for row in looks.iter_rows(named=True)}
    known = {experiment_id: _previous(look) for experiment_id, look in latest.items()}
    is_due = [
        "row" not in known.get(experiment_id, {}) or latest[experiment_id]["looked_on"] < today
        for experiment_id in asked["experiment_id"]
    ]
    due = asked.filter(pl.Series(is_due, dtype=pl.Boolean))
    found = known | _look_at(due, arms, known, today)
    decided, compared = [], []
    for experiment_id, is_auto in asked.select("experiment_id", "is_auto").iter_rows():
        decided.append(restore_row(found[experiment_id], is_auto=bool(is_auto)))
        compared += found[experiment_id]["comparisons"]
    return (
        pl.DataFrame(decided, schema=DECISIONS_SCHEMA),
        pl.DataFrame(compared, schema=COMPARISONS_SCHEMA),
    )


def _previous(look: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence of the latest look; its state and winner are those of the row."""
    evidence = look["evidence"]
    values = json.loads(evidence) if isinstance(evidence, str) else dict(evidence or {})
    return {**values, "state": look["state"], "winner": look["winner"]}


@dataclass(frozen=True)
class _Asked:
    """One experiment that is due: its row, its rule, the rows of its arms by metric."""

    row: Mapping[str, Any]
    design: Design
    arms: Mapping[str, Rows]
    before: Mapping[str, Any]

    @property
    def experiment_id(self) -> str:
        """Its id."""
        return str(self.row["experiment_id"])

    @property
    def primary(self) -> Rows:
        """The arms on the metric that decides."""
        return self.arms.get(self.design.metric, [])

    @property
    def watched(self) -> list[str]:
        """The guardrails that its arms have counts of."""
        asked_for = self.row["guardrails"]
        return [name for name in GUARDRAIL_METRICS if name in asked_for and name in self.arms]

    @property
    def caveat(self) -> str:
        """What has to be said beside every reason."""
        return FEW_SENDERS if self.row.get("has_different_senders") else ""

    def competing(self, metric: str) -> Rows:
        """Return the arms that are sent, on one metric."""
        return [row for row in self.arms[metric] if row["competes"]]

    @property
    def has_full_week(self) -> bool:
        """Whether leads were drawn on seven days or more."""
        on = [row["first_on"] for row in self.primary], [row["last_on"] for row in self.primary]
        return bool(self.primary) and max(on[1]) - min(on[0]) >= FULL_WEEK

    @property
    def held_back(self) -> str | None:
        """Why its arms cannot simply be compared: what they were drawn with depends on the time."""
        if self.before.get("state") == "winner":
            return None
        if self.row["allocation"] == "thompson":
            return (
                "Its weights follow the results (allocation: thompson), so plain means of its arms "
                "would be biased: it names no winner by itself, and leads go where it pays "
                "meanwhile."
            )
        if self.row["has_changing_shares"]:
            return (
                "Its weights or the share held out changed after the first draw, so the arms "
                "differ in when they were drawn as well: it names no winner. Begin again under a "
                "new id."
            )
        return None


def _look_at(
    experiments: pl.DataFrame,
    days: pl.DataFrame,
    known: Mapping[str, Mapping[str, Any]],
    today: date,
) -> dict[str, dict[str, Any]]:
    """Take today's look at these experiments, at all of them together; return their evidence."""
    priors = learn_priors(known.values())
    arms = order_days(experiments, days, priors)
    asked = _ask(experiments, arms, priors, known)
    plain = [one for one in asked if not one.held_back]
    metrics = compared_arms(arms, [one.experiment_id for one in plain])
    looks = tell_experiments(look_at_metrics(metrics, known))
    seen = [looks.get(one.experiment_id, ExperimentLook()) for one in plain]
    decisions = decide_cases([_case(one, look) for one, look in zip(plain, seen, strict=True)])
    found = {one.experiment_id: _hold_back(one, days, today) for one in asked if one.held_back}
    for one, look, decision in zip(plain, seen, decisions, strict=True):
        found[one.experiment_id] = {
            **decision.evidence,
            "has_full_week": one.has_full_week,
            "secondary": look.secondary,
            "comparisons": [publish_row(row) for row in look.rows],
            "row": decision_row(one.experiment_id, one.design, decision, today),
        }
    return found


def _ask(
    experiments: pl.DataFrame,
    ordered: pl.DataFrame,
    priors: Mapping[str, Prior],
    known: Mapping[str, Mapping[str, Any]],
) -> list[_Asked]:
    """Return each experiment with its rule and the arms that its decision is made of."""
    arms: dict[str, dict[str, Rows]] = {}
    needed = pl.col("is_primary") | pl.col("metric").is_in([*GUARDRAIL_METRICS, LOST])
    deciding: dict[str, str] = {}
    for row in ordered.filter(needed).iter_rows(named=True):
        of_experiment = arms.setdefault(row["experiment_id"], {})
        of_experiment.setdefault(row["metric"], []).append(row)
        if row["is_primary"]:
            deciding[row["experiment_id"]] = row["metric"]
    asked = []
    for row in experiments.iter_rows(named=True):
        experiment_id = row["experiment_id"]
        # Of money the capped sums decide, where the history before the test gives a cap.
        metric = deciding.get(experiment_id, row["metric"])
        design = Design(
            metric=metric,
            mode=cast("Mode", row["mode"]),
            planned_leads=row["planned_leads"],
            alpha=float(row["alpha"]),
            control=row["control"],
            prior=priors.get(metric_kind(metric), Prior()),
            expected_loss=row["expected_loss"],
            margin=row["margin"],
        )
        of_experiment = arms.get(experiment_id, {})
        asked.append(_Asked(row, design, of_experiment, known.get(experiment_id, {})))
    return asked


def _case(asked: _Asked, look: ExperimentLook) -> Case:
    """Return what the decision on one experiment is made of."""
    arms = {row["arm"]: read_arm(row) for row in asked.primary}
    return Case(
        design=asked.design,
        arms=list(arms.values()),
        pairs=[
            tell_comparison(row["metric"], arms[row["arm"]], arms[row["baseline"]], row, evidence)
            for row, evidence in zip(look.seen, look.evidence, strict=True)
        ],
        before=asked.before,
        conflicting_units=int(asked.row["count_conflicting_units"] or 0),
        exposures={
            name: [read_exposure(row) for row in asked.competing(name)] for name in asked.watched
        },
        lost={row["arm"]: round(row["sum"]) for row in asked.arms.get(LOST, ())},
        caveat=asked.caveat,
    )


def _hold_back(asked: _Asked, days: pl.DataFrame, today: date) -> dict[str, Any]:
    """Return the evidence of a look without plain comparisons, so that no wrong number is shown.

    Arms of a bandit are compared by its daily batches; nothing is decided by that but harm.
    """
    design, experiment_id = asked.design, asked.experiment_id
    is_bandit = asked.row["allocation"] == "thompson"
    batches = read_batches(experiment_id, days) if is_bandit else {}
    pairs = compare_bandit(design, batches)
    exposures = {}
    for name in asked.watched:
        of_arm = read_days(days, experiment_id, name)
        exposures[name] = [
            read_exposure(row, of_arm.get(row["arm"])) for row in asked.competing(name)
        ]
    decision = hold_back(
        asked.held_back or "",
        design,
        [read_arm(row) for row in asked.primary],
        exposures,
        asked.before,
        asked.caveat,
    )
    return {
        **decision.evidence,
        "batches": batches,
        "has_full_week": False,
        "secondary": [],
        "comparisons": [comparison_row(experiment_id, pair) for pair in pairs],
        "row": decision_row(experiment_id, design, decision, today),
    }
