"""Arms of fewer than ten clusters, such as mailboxes or accounts, judged by a permutation test.

Belongs here: the test, and what it makes of the decision on a file (statistics.md 2.0). Does not:
reading the file (`foreign`), tests of leads or of many clusters (`decisions`).

Of so few clusters no mean is normal, whatever the number of leads in them. Which clusters an arm
got is what was drawn by lot; so the difference is set beside those that every other draw of as many
clusters would have given. It is right for one look, the one at the end of a plan.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from pipeline.analysis import reasons

Floats = npt.NDArray[np.float64]

LEAST_CLUSTERS = 10
# Every draw of nine and nine clusters (48,620) is gone through; of more, as many by lot.
_DRAWS, _BATCH, _SEED = 50_000, 5_000, 20
# States that say that the numbers are not to be trusted, or that nobody may go on.
_STANDING = ("harmful", "invalid")
# What a comparison has from the normal approximation.
_NORMAL = (
    "interval_low",
    "interval_high",
    "plain_95_low",
    "plain_95_high",
    "shrunk_effect",
    "shrunk_low",
    "shrunk_high",
    "probability_better",
    "adjusted_effect",
    "adjusted_low",
    "adjusted_high",
)


@dataclass(frozen=True)
class ClusterSums:
    """Outcomes and leads of each cluster of one arm whose outcome is known."""

    outcomes: Floats
    leads: Floats

    def __len__(self) -> int:
        """Return how many clusters there are."""
        return len(self.leads)


def permutation_p(arm: ClusterSums, baseline: ClusterSums) -> float:
    """Return how often a draw of as many clusters parts two rates per lead as far, two-sided.

    1 where an arm has a single cluster, or none. The same clusters always give the same number.
    """
    if min(len(arm), len(baseline)) <= 1:
        return 1.0
    outcomes = np.concatenate([arm.outcomes, baseline.outcomes])
    leads = np.concatenate([arm.leads, baseline.leads])

    def difference(a: Floats, b: Floats, axis: int) -> Any:
        rates = (
            outcomes[side.astype(np.int64)].sum(axis) / leads[side.astype(np.int64)].sum(axis)
            for side in (a, b)
        )
        return next(rates) - next(rates)

    places = np.arange(len(leads), dtype=np.float64)
    found = stats.permutation_test(
        (places[: len(arm)], places[len(arm) :]),
        difference,
        vectorized=True,
        n_resamples=_DRAWS,
        batch=_BATCH,
        rng=np.random.default_rng(_SEED),
    )
    return float(found.pvalue)


def least_p(arm: int, baseline: int) -> float:
    """Return the smallest two-sided p that so many clusters can give."""
    return 1.0 if min(arm, baseline) <= 1 else 2 / math.comb(arm + baseline, arm)


def few_arms(clusters: Mapping[str, ClusterSums]) -> list[str]:
    """Return the arms that have some clusters, but fewer than ten."""
    return [arm for arm, sums in sorted(clusters.items()) if 0 < len(sums) < LEAST_CLUSTERS]


def judge_few(
    decision: Mapping[str, Any],
    comparisons: Sequence[Mapping[str, Any]],
    clusters: Mapping[str, Mapping[str, ClusterSums]],
    planned: int | None,
    harm: Mapping[str, str],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return decision and comparisons with permutation tests where an arm has few clusters.

    A winner beats every other arm at the end of a plan, at the level that each pair of arms has;
    without a plan none is named, since the test does not hold for several looks.

    Args:
        decision: what the rules for many units say.
        comparisons: theirs, pair by pair.
        clusters: by metric and arm.
        planned: clusters of all arms together at which to decide.
        harm: arms that cannot win, with what they do.
    """
    of_primary = clusters[decision["metric"]]
    few = few_arms(of_primary)
    is_over = bool(planned) and sum(map(len, of_primary.values())) >= (planned or 0)
    level = min(decision["alpha"], 2 * decision["alpha"] / len(of_primary))
    judged = [
        _judge_pair(pair, clusters[pair["metric"]], level if is_over else 0.0)
        for pair in comparisons
    ]
    primary = [
        pair
        for pair in judged
        if pair["is_primary"] and not {pair["arm"], pair["baseline"]} & harm.keys()
    ]
    if not few or decision["state"] in _STANDING or not primary:
        return dict(decision), judged
    winner = _winner(primary, len(of_primary.keys() - harm.keys())) if is_over else None
    headline = _headline(primary, decision["control"], winner)
    state = "winner" if winner else "no_difference" if is_over else "running"
    reason = _reason(headline, of_primary, few, winner, level, is_over=is_over)
    told = {
        "state": state,
        "winner": winner,
        "reason": f"{reason} {reasons.taken_out(harm)}." if harm else reason,
        "effect": headline["effect"],
        "relative_lift": headline["relative_lift"],
        "p_value": headline["p_value"],
        **dict.fromkeys(
            ("interval_low", "interval_high", "shrunk_effect", "shrunk_low", "shrunk_high")
        ),
    }
    return {**decision, **told}, judged


def _judge_pair(
    pair: Mapping[str, Any], of_metric: Mapping[str, ClusterSums], level: float
) -> dict[str, Any]:
    sides = {arm: of_metric[arm] for arm in (pair["arm"], pair["baseline"])}
    if not few_arms(sides):
        return dict(pair)
    p_value = permutation_p(*sides.values())
    is_decisive = bool(pair["is_primary"] and p_value <= level)
    return {**pair, **dict.fromkeys(_NORMAL), "p_value": p_value, "is_decisive": is_decisive}


def _winner(pairs: Sequence[Mapping[str, Any]], arms: int) -> str | None:
    """Return the arm that beats every other one, if any does."""
    wins = [
        pair["arm"] if pair["effect"] > 0 else pair["baseline"]
        for pair in pairs
        if pair["is_decisive"]
    ]
    return next((arm for arm in sorted(set(wins)) if wins.count(arm) == arms - 1), None)


def _headline(
    pairs: Sequence[Mapping[str, Any]], control: str, winner: str | None
) -> Mapping[str, Any]:
    """Return the pair that is told: the winner's, or that of the best arm with the control."""
    with_control = [pair for pair in pairs if control in (pair["arm"], pair["baseline"])]
    of_winner = [pair for pair in with_control if winner in (pair["arm"], pair["baseline"])]
    return max(of_winner or with_control, key=lambda pair: pair["effect"] or 0.0)


def _reason(
    pair: Mapping[str, Any],
    clusters: Mapping[str, ClusterSums],
    few: Sequence[str],
    winner: str | None,
    level: float,
    *,
    is_over: bool,
) -> str:
    """Return why the decision stands as it does, in words."""
    found = [f"{arm} has {len(clusters[arm])}" for arm in few]
    text = "Few clusters"
    if winner:
        text = f"{winner} beats every other arm. {text}"
    text += (
        f": {reasons.listed(found)}, so a permutation test over clusters stands in for the normal "
        "approximation, right for one look. "
    )
    if pair["effect"] is None:
        return f"{text}{pair['arm']} and {pair['baseline']} cannot be compared yet."
    text += (
        f"{pair['metric']}: {pair['arm']} minus {pair['baseline']} "
        f"{reasons.difference(pair['metric'], pair['effect'])} (p = {pair['p_value']:.2g})."
    )
    least = least_p(*(len(clusters[arm]) for arm in (pair["arm"], pair["baseline"])))
    if least > level:
        text += f" So few clusters cannot get p below {least:.2g}: no winner can be named."
    elif not is_over:
        text += (
            " A winner is named at the end of a plan only: say with --planned how many clusters."
        )
    return text
