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


def thompson(rng, rates, days=28, leads=300, floor=0.10):
    """One bandit as `allocation` runs it, drawn by lot: leads, outcomes and probabilities by day."""
    arms = len(rates)
    won, lost, share = np.zeros(arms), np.zeros(arms), np.full(arms, 1 / arms)
    n, x, e = [], [], []
    for _ in range(days):
        drawn = rng.multinomial(leads, share)
        outcomes = rng.binomial(drawn, rates)
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


@pytest.mark.slow
def test_the_estimate_of_a_better_arm_is_not_biased_by_its_weights():
    rng = np.random.default_rng(18)
    found = [judged(*thompson(rng, [0.05, 0.08, 0.05]), 28) for _ in range(400)]
    effects = np.array([one.effect for one in found])
    assert effects.mean() == pytest.approx(0.03, abs=3 * effects.std() / 20)
    inside = np.mean([one.low <= 0.03 <= one.high for one in found])
    assert inside >= 0.94
