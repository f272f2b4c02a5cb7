"""What changed, where the bottleneck is, what to try next: sentences that say what they rest on.

Belongs here: choosing what is worth a sentence, and the sentence. Does not: the numbers (`dropoff`,
`words`, `delay_hints`, `send_times`), pages (`review`). Every sentence has its number, how far that
is to be trusted, and the query that gives its rows. Only what lots have decided is called an
effect; a rule of thumb is called one, and proposes a test.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from pipeline.analysis.delay_hints import LABEL as ASSOCIATION
from pipeline.analysis.pieces import Query, percent, percent_range
from pipeline.analysis.words import DISCOVERY_RATE, RANDOMISED

THUMB = "rule of thumb"
OBSERVED = "observed"
LEAST_MESSAGES = 200
LEAST_EVENTS = 10
LEAST_DROPPED = 10
LONG_FROM = 4
"""Contacts after which losing people is a sign of too many (requirement 220)."""
MOST_WORDS = 3
_HOURS_NEXT = {
    "randomised": "Let `calendar.preferred_hours` send more then",
    "observed": "Who is written to then may differ: `calendar.preferred_hours` tries it by lot",
}
DAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")

INSIGHTS_SCHEMA: dict[str, pl.DataType] = {
    "rank": pl.Int64(),
    "topic": pl.String(),
    "sequence_id": pl.String(),
    "sentence": pl.String(),
    "value": pl.Float64(),
    "interval_low": pl.Float64(),
    "interval_high": pl.Float64(),
    "evidence_label": pl.String(),
    "sql": pl.String(),
}

ROWS_OF_WEEKS = """
select sequence_id, step_id, handed_over_at, first_replied_at
from marts.sends
where
    sequence_id = $sequence_id and was_sent
    and handed_over_at >= (select refreshed_at - interval 21 day from meta.refresh)
"""
ROWS_OF_DROPS = """
select * from analysis.drop_off
where sequence_id = $sequence_id and step_id = $step_id and is_dropped
"""
ROWS_OF_WORDS = """
select * from analysis.word_effects where feature = $feature and is_found
"""
ROWS_OF_HINTS = """
select * from analysis.delay_hints where sequence_id = $sequence_id and step_id = $step_id
"""
ROWS_OF_HOURS = """
select * from analysis.send_times where sequence_id = $sequence_id order by score desc
"""


@dataclass(frozen=True)
class Insight:
    """One sentence, with the number it is about."""

    topic: str
    sentence: str
    value: float
    interval_low: float | None
    interval_high: float | None
    evidence_label: str
    sql: str
    sequence_id: str | None = None


def find_insights(
    weeks: pl.DataFrame,
    drops: pl.DataFrame,
    channels: pl.DataFrame,
    words: pl.DataFrame,
    hints: pl.DataFrame,
    hours: pl.DataFrame,
) -> pl.DataFrame:
    """Return the sentences, changes first, then bottlenecks, then what to try.

    Args:
        weeks: per sequence and week (0 the latest, 1 the one before): n and count_replied.
        drops: the frame of `drop_off`.
        channels: sequence_id, step_id, channel and contact_no of the steps that contact people.
        words: the frame of `word_effects`.
        hints: the frame of `hint_delays`.
        hours: the frame of `score_hours`.
    """
    found: list[Insight] = [*_changes(weeks)]
    for bottleneck in _bottlenecks(drops):
        found += _of_bottleneck(bottleneck, channels)
    found += [*_words(words), *_hints(hints), *_hours(hours)]
    rows = [{"rank": rank, **asdict(one)} for rank, one in enumerate(found, start=1)]
    return pl.DataFrame(rows, schema=INSIGHTS_SCHEMA, orient="row")


def _changes(weeks: pl.DataFrame) -> Iterator[Insight]:
    """Yield the sequences whose share of replies differs from the week before beyond chance."""
    pairs = []
    for (sequence_id,), found in weeks.sort("sequence_id", "week").group_by(
        "sequence_id", maintain_order=True
    ):
        rows = {row["week"]: row for row in found.to_dicts()}
        if set(rows) == {0, 1} and _is_enough(list(rows.values())):
            pairs.append((str(sequence_id), rows[0], rows[1]))
    if not pairs:
        return
    p_values = [
        proportions_ztest([now["count_replied"], before["count_replied"]], [now["n"], before["n"]])[
            1
        ]
        for _, now, before in pairs
    ]
    # Of many sequences some change by chance every week.
    kept = stats.false_discovery_control(p_values) <= DISCOVERY_RATE
    for (sequence_id, now, before), is_kept in zip(pairs, kept, strict=True):
        if is_kept:
            yield _change(sequence_id, now, before)


def _is_enough(rows: Sequence[dict[str, Any]]) -> bool:
    return all(row["n"] >= LEAST_MESSAGES for row in rows) and (
        sum(row["count_replied"] for row in rows) >= LEAST_EVENTS
    )


def _change(sequence_id: str, now: dict[str, Any], before: dict[str, Any]) -> Insight:
    x, n, x_before, n_before = (
        now["count_replied"], now["n"], before["count_replied"], before["n"]
    )  # fmt: skip
    low, high = confint_proportions_2indep(x, n, x_before, n_before, method="newcomb")
    difference = x / n - x_before / n_before
    verb = "rose" if difference > 0 else "fell"
    return Insight(
        topic="changed",
        sequence_id=sequence_id,
        sentence=f"{sequence_id}: replies per message sent {verb} from "
        f"{percent(x_before / n_before)} to {percent(x / n)} ({_points(difference)}, 95 % interval "
        f"{_points(low)} to {_points(high)}; {x:,} of {n:,} against {x_before:,} of "
        f"{n_before:,}, each with 7 days to answer). Nobody drew lots: other leads may have come",
        value=difference,
        interval_low=float(low),
        interval_high=float(high),
        evidence_label=OBSERVED,
        sql=Query(ROWS_OF_WEEKS, {"sequence_id": sequence_id}).text,
    )


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f} points"


def _bottlenecks(drops: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield per sequence the step at which most of those still in are dropped, of all versions."""
    by_step = (
        drops.filter("is_dropped", pl.col("step_ix") >= 0)
        .group_by("sequence_id", "version", "step_ix", "step_id")
        .agg(pl.col("count_ended").sum(), pl.col("n_at_risk").max())
        .group_by("sequence_id", "step_id")
        .agg(pl.col("count_ended", "n_at_risk").sum())
        .filter(pl.col("count_ended") >= LEAST_DROPPED)
        .with_columns(share=pl.col("count_ended") / pl.col("n_at_risk"))
        .sort("sequence_id", "share", "step_id", descending=[False, True, False])
        .group_by("sequence_id", maintain_order=True)
        .first()
    )
    yield from by_step.to_dicts()


def _of_bottleneck(row: dict[str, Any], channels: pl.DataFrame) -> Iterator[Insight]:
    """Yield the bottleneck, then what the rules of thumb make of it."""
    keys = {"sequence_id": row["sequence_id"], "step_id": row["step_id"]}
    low, high = stats.binomtest(row["count_ended"], row["n_at_risk"]).proportion_ci(method="wilson")
    numbers = {"value": row["share"], "interval_low": float(low), "interval_high": float(high)}
    where = f"{row['sequence_id']}, step {row['step_id']}"
    sql = Query(ROWS_OF_DROPS, keys).text
    yield Insight(
        topic="bottleneck",
        sequence_id=row["sequence_id"],
        sentence=f"{where}: most are dropped here, {percent(row['share'])} of the "
        f"{row['n_at_risk']:,} who come so far (95 % interval {percent_range(low, high)})",
        evidence_label=OBSERVED,
        sql=sql,
        **numbers,
    )
    places = channels.filter(
        pl.col("sequence_id") == row["sequence_id"], pl.col("step_id") == row["step_id"]
    )
    advice = [_advise(place) for place in places.unique().sort("contact_no", "channel").to_dicts()]
    for words in dict.fromkeys(text for texts in advice for text in texts):
        yield Insight(
            topic="try",
            sequence_id=row["sequence_id"],
            sentence=f"{where}: {words}. A rule of thumb where many are dropped, here "
            f"{percent(row['share'])} ({percent_range(low, high)}): only a test can tell",
            evidence_label=THUMB,
            sql=sql,
            **numbers,
        )


def _advise(place: dict[str, Any]) -> Iterator[str]:
    if place["channel"] == "email":
        yield "try an SMS in place of this mail (`experiment` with `channel: sms` in one variant)"
    if (place["contact_no"] or 0) >= LONG_FROM:
        yield (
            f"this is contact {place['contact_no']}, the sequence may be too long: hold a share of "
            "the leads out here (`holdout` on the step) and see what the rest of it brings"
        )


def _words(words: pl.DataFrame) -> Iterator[Insight]:
    best = words.filter(
        "is_found",
        pl.col("evidence_label") == RANDOMISED,
        pl.col("contact_no").is_null(),
        pl.col("kind") != "style",
        pl.col("metric") != "unsubscribed",
        pl.col("lift") > 0,
    ).sort("lift", "feature", descending=[True, False])
    for row in best.head(MOST_WORDS).to_dicts():
        lift, low, high = (f"{100 * row[name]:+.0f}" for name in ("lift", "lift_low", "lift_high"))
        yield Insight(
            topic="try",
            sentence=f"“{row['feature']}” in the {row['part']} of {row['channel']}: expect {lift} "
            f"% {row['metric']} (95 % interval {low} to {high} %), over {row['count_tests']} tests "
            "in which it differed. Try it where it is not used; `drip draft` writes a variant",
            value=row["lift"],
            interval_low=row["lift_low"],
            interval_high=row["lift_high"],
            evidence_label=RANDOMISED,
            sql=Query(ROWS_OF_WORDS, {"feature": row["feature"]}).text,
        )


def _hints(hints: pl.DataFrame) -> Iterator[Insight]:
    for row in hints.sort("sequence_id", "step_id").to_dicts():
        low, high = row["hazard_low"], row["hazard_high"]
        if low is None or low <= 1 <= high:
            continue
        yield Insight(
            topic="try",
            sequence_id=row["sequence_id"],
            sentence=f"{row['sequence_id']}: {row['proposal']} (pace × {row['hazard_ratio']:.2f} "
            f"for twice the wait, 95 % interval {low:.2f} to {high:.2f}; E-value "
            f"{row['e_value']:.1f})",
            value=row["hazard_ratio"],
            interval_low=low,
            interval_high=high,
            evidence_label=ASSOCIATION,
            sql=Query(
                ROWS_OF_HINTS, {"sequence_id": row["sequence_id"], "step_id": row["step_id"]}
            ).text,
        )


def _hours(hours: pl.DataFrame) -> Iterator[Insight]:
    """Yield the best block of each sequence that is better beyond chance."""
    better = hours.filter("is_better").sort("sequence_id", "score", descending=[False, True])
    for row in better.group_by("sequence_id", maintain_order=True).first().to_dicts():
        hour = 4 * row["block"]
        when = f"{DAYS[row['weekday']]} {hour:02}:00 to {(hour + 4) % 24:02}:00"
        yield Insight(
            topic="try",
            sequence_id=row["sequence_id"],
            sentence=f"{row['sequence_id']}: {when} brings {percent(row['score'])} answers per "
            f"message (90 % interval {percent_range(row['interval_low'], row['interval_high'])}, "
            f"above the week's average with probability {row['probability_better']:.2f}; "
            f"{row['evidence_label']}). {_HOURS_NEXT[row['evidence_label']]}",
            value=row["score"],
            interval_low=row["interval_low"],
            interval_high=row["interval_high"],
            evidence_label=row["evidence_label"],
            sql=Query(ROWS_OF_HOURS, {"sequence_id": row["sequence_id"]}).text,
        )
