"""Which delay brings more replies: advice from randomised delays.

Belongs here: recommendations from delay experiments, with the estimate and its interval; how soon
replies come after each delay, and which of equal delays is the better one.
Does not: delays that varied for other reasons, which can suggest a test but never decide.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pipeline.analysis import reasons
from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.comparisons import Arm, Design
from pipeline.analysis.experiments import decide_experiment
from pipeline.analysis.incidence import OPEN, Risk, count_risk, difference_p, tell_curve

EVIDENCE_LABEL = "randomised"
TIES = ("either_of", "no_difference")
METRICS = {"replied": "count_replied", "converted": "count_converted"}
LEFT = "unsubscribed"
# Restricted means that differ by chance only are a tie, too.
TIE = 0.05
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


CURVES_SCHEMA: dict[str, pl.DataType] = {
    "experiment_id": pl.String(),
    "arm": pl.String(),
    "metric": pl.String(),
    "outcome": pl.String(),
    "day": pl.Int64(),
    "n_at_risk": pl.Int64(),
    "count_reached": pl.Int64(),
    "share": pl.Float64(),
    "interval_low": pl.Float64(),
    "interval_high": pl.Float64(),
}

# By experiment and metric, then by arm.
Risks = dict[tuple[str, str], dict[str, Risk]]


def recommend_delays(
    delay_arms: pl.DataFrame,
    decisions: pl.DataFrame | None = None,
    delay_times: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return one row per delay experiment and metric: the delay to use, or "keep collecting".

    The estimand is the share of assigned leads that replied (converted) within the window from
    assignment, on matured leads; so a long delay has lost the days it waits, and a lead that has
    not answered yet is not counted against it. Decided by the open rule at 5 %, which holds at
    every look. Where several delays are equally good in that, the one is recommended after which
    answers come sooner (restricted mean time, unsubscribes and bounces competing), then the one
    that fewer unsubscribe after.

    Args:
        delay_arms: marts.delay_arms.
        decisions: the frame of `decide_experiments`; what it decided on the experiment's own
            metric stands here too, and an invalid experiment gives no advice.
        delay_times: marts.delay_times; without it ties stay ties.
    """
    risks = {} if delay_times is None else _risks(delay_times)
    decided: dict[str, dict[str, Any]] = {}
    if decisions is not None:
        decided = {row["experiment_id"]: row for row in decisions.iter_rows(named=True)}
    rows = []
    ordered = delay_arms.sort("experiment_id", "arm")
    for (experiment_id,), arms in ordered.group_by("experiment_id", maintain_order=True):
        of_experiment = arms.to_dicts()
        row = decided.get(str(experiment_id), {})
        for metric in METRICS:
            found = risks.get((str(experiment_id), metric), {})
            rows.append(_recommend(str(experiment_id), metric, of_experiment, row, found))
    return pl.DataFrame(rows, schema=DELAYS_SCHEMA)


def delay_curves(delay_times: pl.DataFrame) -> pl.DataFrame:
    """Return how many have come to which end by which day after the draw.

    Aalen-Johansen shares with log-log intervals, pointwise at 95 %; the hazard of a day is
    `count_reached` of `n_at_risk`. Grain: one row per experiment, arm, metric, end and day on which
    somebody came to it.

    Args:
        delay_times: marts.delay_times.
    """
    curves = []
    for (experiment_id, metric), arms in _risks(delay_times).items():
        for arm, risk in arms.items():
            names = {"experiment_id": experiment_id, "arm": arm, "metric": metric}
            for cause in risk.causes:
                told = pl.DataFrame(tell_curve(risk, cause))
                columns = {**names, "outcome": cause}
                curves.append(told.with_columns(pl.lit(v).alias(k) for k, v in columns.items()))
    empty = pl.DataFrame(schema=CURVES_SCHEMA)
    return pl.concat([empty, *(curve.select(*CURVES_SCHEMA) for curve in curves)])


def _risks(delay_times: pl.DataFrame) -> Risks:
    """Return who was at risk when, by experiment and metric, then by arm."""
    found: Risks = {}
    keys = ("experiment_id", "metric", "arm")
    ordered = delay_times.sort(*keys, "whole_days", "outcome")
    for (experiment_id, metric, arm), rows in ordered.group_by(*keys, maintain_order=True):
        risk = count_risk(
            rows["whole_days"].to_numpy(),
            rows["outcome"].fill_null(OPEN).to_list(),
            rows["count_units"].to_numpy(),
        )
        found.setdefault((str(experiment_id), str(metric)), {})[str(arm)] = risk
    return found


def name_delay(seconds: int) -> str:
    """Return a delay in its largest whole unit: "3 days", "36 hours"."""
    if seconds == 0:
        return "no delay"
    unit, size = next((unit, size) for unit, size in UNITS.items() if seconds % size == 0)
    count = seconds // size
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _recommend(
    experiment_id: str,
    metric: str,
    rows: Sequence[Mapping[str, Any]],
    decided: Mapping[str, Any],
    risks: Mapping[str, Risk],
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
    winner, found, tied = decision.winner, decision.reason, list(decision.either_of)
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
        tied = json.loads(decided.get("evidence") or "{}").get("either_of", [])
        copied = ("effect", "interval_low", "interval_high") if state != "invalid" else ()
        result |= {name: decided[name] for name in copied}
    delays = {row["arm"]: row["delay_seconds"] for row in rows}
    if state == "no_difference":
        tied = [arm.name for arm in arms if arm.competes]
    reason = _reason(state, winner, delays, found)
    if state in TIES:
        winner, why = _break_tie([arm for arm in tied if arm in risks], risks, metric, delays)
        if winner:
            reason = f"Randomised: wait {_name(winner, delays)} ({winner}). {why}"
    return {
        **result,
        "state": state,
        "recommended_delay_seconds": delays.get(winner),
        "reason": reason,
    }


def _break_tie(
    tied: Sequence[str], risks: Mapping[str, Risk], metric: str, delays: Mapping[str, int | None]
) -> tuple[str | None, str]:
    """Return the best of arms that are equal in how many answer, and why; None if none is."""
    known = [arm for arm in tied if metric in risks[arm].causes]
    if len(known) < 2:  # noqa: PLR2004 - one arm is no tie
        return None, ""
    horizon = min(risks[arm].last for arm in known)
    means = {arm: risks[arm].restricted_mean(horizon, metric) for arm in known}
    first, *others = sorted(known, key=lambda arm: (means[arm][0], arm))
    told = {arm: _name(arm, delays) for arm in known}
    if all((difference_p(means[first], means[arm]) or 1.0) < TIE for arm in others):
        days = ", ".join(f"{told[arm]} {means[arm][0]:.1f}" for arm in (first, *others))
        return first, (
            "As many answer after each, and after this one the soonest; mean days until then, up "
            f"to day {horizon:g}: {days}."
        )
    left = {arm: _share_left(risks[arm]) for arm in known}
    fewest, *others = sorted(known, key=lambda arm: (left[arm], means[arm][0], arm))
    if left[fewest] == left[others[0]]:
        return None, ""
    shares = ", ".join(f"{told[arm]} {100 * left[arm]:.2f} %" for arm in (fewest, *others))
    return fewest, f"As many answer after each, and as soon; the fewest unsubscribe: {shares}."


def _share_left(risk: Risk) -> float:
    return float(risk.shares(LEFT)[0][-1]) if LEFT in risk.causes else 0.0


def _name(arm: str, delays: Mapping[str, int | None]) -> str:
    seconds = delays.get(arm)
    return arm if seconds is None else name_delay(seconds)


def _is_metric(metric: str | None, name: str) -> bool:
    """Return whether an experiment's own metric is the one named here."""
    return metric == name or (name == "converted" and str(metric).startswith("goal("))


def _reason(state: str, winner: str | None, delays: Mapping[str, int | None], found: str) -> str:
    """Return the advice in words; it always says that the evidence is randomised."""
    if state == "invalid":
        return f"Randomised, but not to be used. {found}"
    if winner:
        return f"Randomised: wait {_name(winner, delays)} ({winner}). {found}"
    if state == "either_of":
        return f"Randomised: no single delay is best. {found}"
    if state == "no_difference":
        return f"Randomised: the delay makes no difference that can be told. {found}"
    known = [name_delay(delay) for delay in sorted({d for d in delays.values() if d is not None})]
    return f"Randomised: keep collecting; {reasons.listed(known)} cannot be told apart yet. {found}"
