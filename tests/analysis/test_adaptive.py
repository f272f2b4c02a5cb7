import math

import numpy as np
import pytest

from pipeline.analysis.adaptive import Batch, compare_batches
from tests.analysis.conftest import OTHERS


def batches(n, x, e):
    return [Batch(int(a), float(b), float(p)) for a, b, p in zip(n, x, e, strict=True)]


def test_nothing_is_said_before_the_third_day():
    two_days = batches([50, 50], [5, 5], [0.5, 0.5])
    assert compare_batches(two_days, two_days, [100, 100], 0.05) is None
    quiet = batches([50, 0, 50], [5, 0, 5], [0.5, 0.5, 0.5])
    assert compare_batches(quiet, quiet, [100, 0, 100], 0.05) is None


def test_swapping_the_arms_changes_the_sign():
    rng = np.random.default_rng(4)
    n = rng.integers(20, 200, (2, 14))
    x = rng.binomial(n, 0.1)
    share = n / n.sum(axis=0)
    one, other = (batches(n[ix], x[ix], share[ix]) for ix in range(2))
    totals = n.sum(axis=0).tolist()
    there, back = (compare_batches(*arms, totals, 0.05) for arms in ((one, other), (other, one)))
    assert there.effect == pytest.approx(-back.effect)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.low <= there.effect <= there.high


def test_arms_nobody_drew_or_everybody_answered_break_nothing():
    nobody = batches([0] * 5, [0] * 5, [0.0] * 5)
    everybody = batches([90] * 5, [90] * 5, [0.9] * 5)
    found = compare_batches(everybody, nobody, [100] * 5, 0.05)
    assert all(math.isfinite(value) for value in (found.effect, found.low, found.high))


def test_equal_days_of_equal_weights_are_the_plain_difference():
    # Once the past says the truth, scores are the day's own rates.
    one, other = (
        batches([500] * 200, [50] * 200, [0.5] * 200),
        batches([500] * 200, [30] * 200, [0.5] * 200),
    )
    found = compare_batches(one, other, [1000] * 200, 0.05)
    assert found.effect == pytest.approx(0.04, abs=1e-4)
    assert found.is_decisive


def thompson(rng, rates, days=28, leads=300, floor=0.10, seasons=None):
    """One bandit as `allocation` runs it, drawn by lot: leads, outcomes and probabilities by day.

    `seasons`: what the rates of each day are multiplied by.
    """
    arms = len(rates)
    won, lost, share = np.zeros(arms), np.zeros(arms), np.full(arms, 1 / arms)
    n, x, e = [], [], []
    for season in np.ones(days) if seasons is None else seasons:
        drawn = rng.multinomial(leads, share)
        outcomes = rng.binomial(drawn, np.asarray(rates) * season)
        n.append(drawn)
        x.append(outcomes)
        e.append(share)
        won, lost = won + outcomes, lost + drawn - outcomes
        best = rng.beta(1 + won, 1 + lost, (400, arms)).argmax(axis=1)
        share = floor + (1 - arms * floor) * np.bincount(best, minlength=arms) / 400
    return np.array(n), np.array(x), np.array(e)


def judged(n, x, e, day):
    arms = [batches(n[:day, ix], x[:day, ix], e[:day, ix]) for ix in (1, 0)]
    return compare_batches(*arms, n[:day].sum(axis=1).tolist(), 0.05)


@pytest.mark.slow
def test_equal_arms_of_a_bandit_are_told_apart_in_at_most_five_per_cent_of_daily_looks(calibration):
    rng = np.random.default_rng(17)
    tests, told, covered, plain = 500 * calibration.times, 0, 0, 0
    for _ in range(tests):
        n, x, e = thompson(rng, [0.05, 0.05, 0.05])
        told += any(judged(n, x, e, day).is_decisive for day in range(3, 29))
        final = judged(n, x, e, 28)
        covered += abs(final.effect) < 1.96 * final.standard_error
        rates = x.sum(axis=0) / n.sum(axis=0)
        errors = rates * (1 - rates) / n.sum(axis=0)
        plain += abs(rates[1] - rates[0]) > 1.96 * math.sqrt(errors[1] + errors[0])
    error = 2 * math.sqrt(0.05 * 0.95 / tests)
    for question, share, target in (
        ("three equal arms of a bandit, daily: told apart", told / tests, "≤ 5 %"),
        ("plain z of the same at the end", plain / tests, "–"),
        ("bandit: the interval at the end covers", covered / tests, "≥ 94 %"),
    ):
        calibration.note(OTHERS, question, share, target, draws=tests, seed=17)
    assert told / tests <= 0.05 + error
    assert covered / tests >= 0.94 - error


def batched_ols(n, x):
    """Difference of the second arm and the first, and its error, by no probabilities at all.

    Differences within days, each over its own standard error, all with the same weight (Zhang,
    Janson & Murphy 2020): leads of a day are a plain random draw, and days are put together after.
    """
    ok = (n[:, 0] > 0) & (n[:, 1] > 0)
    rates = x[:, :2].sum(axis=0) / n[:, :2].sum(axis=0)
    spread = np.sqrt((rates * (1 - rates) / n[ok, :2]).sum(axis=1))
    apart = x[ok, 1] / n[ok, 1] - x[ok, 0] / n[ok, 0]
    weights = 1 / spread
    return (weights * apart).sum() / weights.sum(), math.sqrt(ok.sum()) / weights.sum()


SEASONS = {
    "as ever": np.ones(28),
    "falling": np.linspace(1.5, 0.5, 28),
    "by weekday": np.tile([1.4, 1.2, 1.1, 1.0, 0.9, 0.7, 0.7], 4),
}


@pytest.mark.parametrize("season", SEASONS)
@pytest.mark.parametrize("rates", [(0.05, 0.05, 0.05), (0.05, 0.08, 0.05)], ids=["equal", "better"])
def test_scores_by_day_agree_with_differences_within_days(rates, season):
    """Two estimates of one difference that share neither formula nor inputs."""
    rng = np.random.default_rng(29)
    worlds = 150
    truth = (rates[1] - rates[0]) * SEASONS[season].mean()
    scores, twins, errors, inside, covered = [], [], [], 0, 0
    for _ in range(worlds):
        n, x, e = thompson(rng, rates, seasons=SEASONS[season])
        found, (twin, error) = judged(n, x, e, 28), batched_ols(n, x)
        scores.append(found.effect)
        twins.append(twin)
        errors.append(found.standard_error / error)
        inside += found.low <= twin <= found.high
        covered += abs(twin - truth) < 1.96 * error
    apart = np.subtract(scores, twins)
    assert np.corrcoef(scores, twins)[0, 1] > 0.97
    assert apart.std() < 0.25 * np.std(twins)
    assert abs(apart.mean()) < 0.001
    assert inside == worlds
    assert 0.9 < np.median(errors) < 1.1
    # The twin is one to go by: it keeps its own promise.
    assert covered / worlds >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / worlds)


@pytest.mark.slow
def test_the_estimate_of_a_better_arm_is_not_biased_by_its_weights():
    rng = np.random.default_rng(18)
    found = [judged(*thompson(rng, [0.05, 0.08, 0.05]), 28) for _ in range(400)]
    effects = np.array([one.effect for one in found])
    assert effects.mean() == pytest.approx(0.03, abs=3 * effects.std() / 20)
    inside = np.mean([one.low <= 0.03 <= one.high for one in found])
    assert inside >= 0.94
