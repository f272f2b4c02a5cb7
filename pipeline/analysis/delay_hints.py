"""What past waits suggest: from when on waiting longer brings little, and which delays to test.

Belongs here: the day by which most replies have come, and the association of waits that differed
for other reasons. Does not: randomised delays, which alone decide (`delays`).

Nobody drew lots for these waits: weekends, limits and downtimes made them, and who was written to
then may differ, too. So the only thing that follows from an association is a test.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from statsmodels.duration.hazard_regression import PHReg

from pipeline.analysis.incidence import OPEN, count_risk

Floats = npt.NDArray[np.float64]

LABEL = "association"
REPLIED = "replied"
SHARE_OF_REPLIES = 0.80
"""By the earliest sensible delay this share of the replies to come has come."""
LEAST_REPLIES = 50
HORIZON_DAYS = 14.0
LEAST_RATIO = 1.5
"""Of the longest to the shortest usual wait (90th to 10th percentile): less is no comparison."""
LEAST_ASSOCIATED = 200
"""Replies, before waits are compared with one another."""
MOST_ROWS = 5_000
_DRAWS, _SEED = 400, 212

HINTS_SCHEMA: dict[str, pl.DataType] = {
    "sequence_id": pl.String(),
    "step_id": pl.String(),
    "n": pl.Int64(),
    "count_replied": pl.Int64(),
    "earliest_days": pl.Float64(),
    "earliest_low": pl.Float64(),
    "earliest_high": pl.Float64(),
    "hazard_ratio": pl.Float64(),
    "hazard_low": pl.Float64(),
    "hazard_high": pl.Float64(),
    "e_value": pl.Float64(),
    "shortest_usual_days": pl.Float64(),
    "longest_usual_days": pl.Float64(),
    "evidence_label": pl.String(),
    "proposal": pl.String(),
}


def hint_delays(reply_times: pl.DataFrame) -> pl.DataFrame:
    """Return one row per sequence and step with enough replies: what its waits suggest.

    `earliest_days` is the day by which 80 % of the replies that come within the time observed have
    come, unsubscribes and bounces competing: before it, the next message reaches people who would
    have answered by themselves. `hazard_ratio` is by how much the pace of replies to this step
    differs for twice the wait before it (Cox, errors by lead); null where the waits hardly differ.

    Args:
        reply_times: one row per message: sequence_id, step_id, lead_id, days (to the end or to the
            moment of the facts), outcome (replied, how it was lost, or null), wait_days (since the
            message before; null for the first), weekday, was_engaged (with the message before).
    """
    # In hours: Cox takes its time over every different moment of a reply.
    hours = (pl.col("days").clip(lower_bound=0) * 24).ceil() / 24
    steps = reply_times.with_columns(days=hours).partition_by(
        "sequence_id", "step_id", as_dict=True
    )
    rows = []
    for (sequence_id, step_id), found in sorted(steps.items(), key=lambda step: str(step[0])):
        replied = int((found["outcome"] == REPLIED).sum())
        if replied >= LEAST_REPLIES:
            row = {
                "sequence_id": sequence_id,
                "step_id": step_id,
                "n": found.height,
                "count_replied": replied,
                "evidence_label": LABEL,
                **_earliest(found),
                **_association(found),
            }
            rows.append({**row, "proposal": propose(row)})
    return pl.DataFrame(rows, schema=HINTS_SCHEMA, orient="row")


def e_value(ratio: float) -> float:
    """Return how strongly something unseen would have to go with both wait and reply to explain it.

    As a risk ratio (VanderWeele and Ding); replies are rare, so a hazard ratio is about one.

    >>> round(e_value(0.5), 3) == round(e_value(2.0), 3) == 3.414
    True
    """
    above = max(ratio, 1 / ratio)
    return above + math.sqrt(above * (above - 1))


def propose(row: dict[str, Any]) -> str:
    """Return the only thing that follows: a test, in words."""
    early = f"{row['earliest_days']:.1f} days"
    text = f"{100 * SHARE_OF_REPLIES:.0f} % of the replies to {row['step_id']} come within {early}"
    ratio = row.get("hazard_ratio")
    if ratio is None:
        return f"{text}; other waits are not known: too few replies, or waits that hardly differed"
    low, high = row["hazard_low"], row["hazard_high"]
    if low <= 1 <= high:
        return f"{text}; shorter and longer waits before it cannot be told apart"
    which = "longer" if ratio > 1 else "shorter"
    usual = f"{row['shortest_usual_days']:.1f} and {row['longest_usual_days']:.1f} days"
    return (
        f"{text}; after {which} waits replies came faster (an association, no effect): test "
        f"{usual} before {row['step_id']} against each other, by lot"
    )


def _earliest(found: pl.DataFrame) -> dict[str, Any]:
    """Return the quantile of the replies to come with its bootstrap interval over messages."""
    counts = (
        found.select(
            day=pl.col("days").clip(upper_bound=HORIZON_DAYS),
            end=pl.when(pl.col("days") > HORIZON_DAYS)
            .then(pl.lit(OPEN))
            .otherwise(pl.col("outcome").fill_null(OPEN)),
        )
        .group_by("day", "end")
        .len("count")
        .sort("day", "end")
    )
    days, ends = counts["day"].to_numpy(), counts["end"].to_list()
    number = counts["count"].to_numpy().astype(float)
    risk = count_risk(days, ends, number)
    drawn = resampled_quantiles(days, ends, number)
    low, high = np.quantile(drawn, [0.025, 0.975])
    earliest = risk.quantile(SHARE_OF_REPLIES, REPLIED, of_ends=True)
    return {"earliest_days": earliest, "earliest_low": float(low), "earliest_high": float(high)}


def resampled_quantiles(days: Floats, ends: list[str], number: Floats) -> Floats:
    """Return the quantile in each of many samples drawn with replacement from these counts.

    A bootstrap over messages draws how many times each day and end comes: a multinomial.

    Args:
        days: ascending.
        ends: what came then.
        number: how many messages.
    """
    rng = np.random.default_rng(_SEED)
    total = number.sum()
    drawn = rng.multinomial(round(total), number / total, size=_DRAWS).astype(float)
    times, place = np.unique(days, return_inverse=True)
    is_end = np.array([end != OPEN for end in ends])
    is_reply = np.array([end == REPLIED for end in ends])
    shape = (_DRAWS, len(times))
    stopped, ended, replied = (np.zeros(shape) for _ in range(3))
    for column, at in enumerate(place):
        stopped[:, at] += drawn[:, column]
        ended[:, at] += drawn[:, column] * is_end[column]
        replied[:, at] += drawn[:, column] * is_reply[column]
    at_risk = np.maximum(total - np.cumsum(stopped, axis=1) + stopped, 1.0)
    going_on = np.cumprod(1 - ended / at_risk, axis=1)
    before = np.hstack([np.ones((_DRAWS, 1)), going_on[:, :-1]])
    share = np.cumsum(before * replied / at_risk, axis=1)
    reached = share >= SHARE_OF_REPLIES * share[:, -1:] - 1e-12
    return np.asarray(times[reached.argmax(axis=1)])


def _association(found: pl.DataFrame) -> dict[str, Any]:
    """Return the hazard ratio of twice the wait, or nothing where the waits hardly differ."""
    waited = found.drop_nulls("wait_days").filter(pl.col("wait_days") > 0, pl.col("days") > 0)
    # The same messages are drawn below, in whatever order they were read.
    waited = waited.sort("lead_id", "days")
    replied = waited.filter(pl.col("outcome") == REPLIED)
    if replied.height < LEAST_ASSOCIATED:
        return {}
    # Who was lost before the first reply was never at risk of one; the errors by lead choke on it.
    waited = waited.filter(pl.col("days") >= replied["days"].min())
    if waited.height > MOST_ROWS:
        waited = waited.sample(MOST_ROWS, seed=_SEED)
    shortest, longest = (float(waited["wait_days"].quantile(q) or 0) for q in (0.1, 0.9))
    if longest < LEAST_RATIO * shortest:
        return {}
    seen = (waited["outcome"] == REPLIED) & (waited["days"] <= HORIZON_DAYS)
    fitted = PHReg(
        waited["days"].clip(upper_bound=HORIZON_DAYS).to_numpy(),
        np.column_stack(list(_covariates(waited))),
        status=seen.cast(pl.Int64).fill_null(0).to_numpy(),
    ).fit(groups=waited["lead_id"].to_numpy())
    slope, error = float(fitted.params[0]), float(fitted.bse[0])
    low, high = (math.exp(slope + side * 1.96 * error) for side in (-1, 1))
    # The E-value of the end of the interval that is nearer to no association.
    nearest = 1.0 if low <= 1 <= high else min(low, high, key=lambda end: abs(math.log(end)))
    return {
        "hazard_ratio": math.exp(slope),
        "hazard_low": low,
        "hazard_high": high,
        "e_value": e_value(nearest),
        "shortest_usual_days": shortest,
        "longest_usual_days": longest,
    }


def _covariates(waited: pl.DataFrame) -> Iterator[Floats]:
    """Yield log2 of the wait, then what goes with it and may go with replies: columns that vary."""
    yield np.log2(waited["wait_days"].to_numpy())
    others = [waited["was_engaged"].cast(pl.Float64).to_numpy()]
    others += [(waited["weekday"] == day).cast(pl.Float64).to_numpy() for day in range(1, 7)]
    yield from (column for column in others if column.std() > 0)
