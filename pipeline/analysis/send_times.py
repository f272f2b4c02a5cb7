"""Which hours of the week bring more answers: a score for each four hours of a sequence's week.

Belongs here: shrunken rates with their intervals, and the shares of the blocks (statistics.md
2.14). Does not: counting (marts.send_hours), drawing an hour for a message (`engine`).

The rates of the 42 blocks of a week are Beta(mu M, (1 - mu) M) around one mean, and (mu, M) are
integrated on a grid: raw rates of single blocks are noise, and the best of them is its luckiest.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from scipy.special import betaln

DAYS, BLOCKS = 7, 6
LEAST_SENDS = 1_000
"""Messages that have had their time; below this nothing is published, and nothing preferred."""
LEAST_RESPONSES = 20
EXPLORED = 0.15
"""Spread evenly over the blocks of a day, so that each can go on being judged."""
SURE = 0.95
_DRAWS = 4_000
_SEED = 214
_MEANS, _SPREADS = 17, 25
_SIZES = (5.0, 20_000.0)

SEND_TIMES_SCHEMA: dict[str, pl.DataType] = {
    "sequence_id": pl.String(),
    "weekday": pl.Int64(),
    "block": pl.Int64(),
    "n": pl.Int64(),
    "count_responded": pl.Int64(),
    "score": pl.Float64(),
    "interval_low": pl.Float64(),
    "interval_high": pl.Float64(),
    "probability_better": pl.Float64(),
    "is_better": pl.Boolean(),
    "weight": pl.Float64(),
    "propensity": pl.Float64(),
    "evidence_label": pl.String(),
    "computed_at": pl.Datetime("us", "UTC"),
}

HOUR_SENDS = 50_000
"""Messages from which on single hours are scored as well; before, they would be noise."""
HOURS_SCHEMA: dict[str, pl.DataType] = {
    "sequence_id": pl.String(),
    "weekday": pl.Int64(),
    "hour": pl.Int64(),
    "n": pl.Int64(),
    "count_responded": pl.Int64(),
    "score": pl.Float64(),
    "interval_low": pl.Float64(),
    "interval_high": pl.Float64(),
    "probability_better": pl.Float64(),
    "is_better": pl.Boolean(),
}

Grid = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def score_hours(send_times: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Return a week of 42 blocks for each sequence with enough answers, and nothing for others.

    Grain: one row per sequence, weekday and block. The weights of a day sum to 1. Only where
    messages were drawn by lot the score is about the hour; else it is about who is written to then,
    too, and the row says "observed".

    Args:
        send_times: sequence_id, weekday, block, n, count_responded, count_randomised,
            propensity: marts.send_hours by four hours.
        now: the moment of the facts.
    """
    ordered = send_times.sort("sequence_id", "weekday", "block")
    rows = [
        row
        for (sequence_id,), found in ordered.group_by("sequence_id", maintain_order=True)
        if found["n"].sum() >= LEAST_SENDS and found["count_responded"].sum() >= LEAST_RESPONSES
        for row in _week(str(sequence_id), found.to_dicts(), now.astimezone(UTC))
    ]
    return pl.DataFrame(rows, schema=SEND_TIMES_SCHEMA, orient="row")


def score_single_hours(send_hours: pl.DataFrame) -> pl.DataFrame:
    """Return a week of 168 hours for each sequence with 50,000 messages, and nothing for others.

    For people to look at: hours are drawn by block (`score_hours`), and most single hours were
    never drawn by lot.

    Args:
        send_hours: sequence_id, weekday, hour, n and count_responded of marts.send_hours.
    """
    rows = []
    ordered = send_hours.sort("sequence_id", "weekday", "hour")
    for (sequence_id,), found in ordered.group_by("sequence_id", maintain_order=True):
        if found["n"].sum() < HOUR_SENDS or found["count_responded"].sum() < LEAST_RESPONSES:
            continue
        cells = {(row["weekday"], row["hour"]): row for row in found.to_dicts()}
        places = [(day, hour) for day in range(DAYS) for hour in range(24)]
        n = [int(cells.get(place, {}).get("n", 0)) for place in places]
        x = [int(cells.get(place, {}).get("count_responded", 0)) for place in places]
        rates = shrink_rates(n, x)
        rows += [
            {
                "sequence_id": sequence_id,
                "weekday": weekday,
                "hour": hour,
                "n": n[place],
                "count_responded": x[place],
                "score": rates.mean[place],
                "interval_low": rates.low[place],
                "interval_high": rates.high[place],
                "probability_better": rates.better[place],
                "is_better": rates.better[place] > SURE,
            }
            for place, (weekday, hour) in enumerate(places)
        ]
    return pl.DataFrame(rows, schema=HOURS_SCHEMA, orient="row")


def _week(
    sequence_id: str, found: Sequence[Mapping[str, Any]], now: datetime
) -> Iterator[dict[str, Any]]:
    cells = {(row["weekday"], row["block"]): row for row in found}
    places = [(day, block) for day in range(DAYS) for block in range(BLOCKS)]
    known = [cells.get(place, {}) for place in places]
    n = [int(cell.get("n", 0)) for cell in known]
    x = [int(cell.get("count_responded", 0)) for cell in known]
    rates = shrink_rates(n, x)
    weights = [w for day in range(DAYS) for w in spread(rates.mean[day * BLOCKS :][:BLOCKS])]
    for number, (place, cell) in enumerate(zip(places, known, strict=True)):
        randomised = cell.get("count_randomised", 0)
        yield {
            "sequence_id": sequence_id,
            "weekday": place[0],
            "block": place[1],
            "n": n[number],
            "count_responded": x[number],
            "score": rates.mean[number],
            "interval_low": rates.low[number],
            "interval_high": rates.high[number],
            "probability_better": rates.better[number],
            "is_better": rates.better[number] > SURE,
            "weight": weights[number],
            "propensity": cell.get("propensity"),
            # Half of a block by lot is still half of it by who was due then.
            "evidence_label": "randomised" if 0 < randomised == n[number] else "observed",
            "computed_at": now,
        }


def spread(scores: Sequence[float]) -> list[float]:
    """Return the share of each block of a day: the best gets what is not spread over all.

    >>> [round(share, 3) for share in spread([0.1, 0.3, 0.2])]
    [0.05, 0.9, 0.05]
    """
    best = scores.index(max(scores))
    even = EXPLORED / len(scores)
    return [even + (1 - EXPLORED if place == best else 0.0) for place in range(len(scores))]


class Rates:
    """What is known of the rates of several blocks.

    Attributes:
        mean: posterior means.
        low: lower ends of 90 % intervals.
        high: upper ends.
        better: probability that a block is above the average of all, weighted by messages.
    """

    def __init__(self, mean: Grid, draws: Grid, n: Grid) -> None:
        """Read them off draws from the posterior, one row per draw."""
        average = draws @ (n / n.sum())
        self.mean: list[float] = mean.tolist()
        self.low: list[float] = np.quantile(draws, 0.05, axis=0).tolist()
        self.high: list[float] = np.quantile(draws, 0.95, axis=0).tolist()
        self.better: list[float] = (draws > average[:, None]).mean(axis=0).tolist()


def shrink_rates(n: Sequence[int], x: Sequence[int]) -> Rates:
    """Return the rates of blocks with n messages and x answers, each drawn to the mean of all.

    The same numbers give the same result: the draws are seeded.
    """
    sent, answered = np.asarray(n, dtype=float), np.asarray(x, dtype=float)
    means, sizes, prior = _grid(sent, answered)
    a, b = means * sizes, (1 - means) * sizes
    likelihood = np.sum(
        betaln(a[:, None] + answered, b[:, None] + sent - answered)
        - betaln(a[:, None], b[:, None]),
        axis=1,
    )
    likelihood += prior
    weights = np.exp(likelihood - likelihood.max())
    weights /= weights.sum()
    cells = (a[:, None] + answered) / (sizes[:, None] + sent)
    rng = np.random.default_rng(_SEED)
    drawn = rng.choice(len(weights), size=_DRAWS, p=weights)
    draws = rng.beta(a[drawn, None] + answered, b[drawn, None] + sent - answered)
    return Rates(weights @ cells, draws, sent)


def _grid(sent: Grid, answered: Grid) -> tuple[Grid, Grid, Grid]:
    """Return the pairs (mu, M) with the log of their prior.

    mu lies around the common rate; M is even in 1 / sqrt(M), about the spread of the rates, and
    goes so far up that all blocks may be alike.
    """
    rate = (answered.sum() + 0.5) / (sent.sum() + 1)
    used = sent > 0
    raw = answered[used] / sent[used]
    error = np.sqrt(rate * (1 - rate) / sent.sum() + raw.var() / used.sum())
    means = np.clip(rate + np.linspace(-3, 3, _MEANS) * error, 1e-6, 1 - 1e-6)
    sizes = np.geomspace(*_SIZES, _SPREADS)
    mean_grid, size_grid = np.meshgrid(means, sizes, indexing="ij")
    prior = np.log(sizes**-1.5 * np.gradient(sizes))
    return mean_grid.ravel(), size_grid.ravel(), np.tile(prior, _MEANS)
