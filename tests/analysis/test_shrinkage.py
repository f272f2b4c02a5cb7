import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.shrinkage import (
    FALLBACK_SPREAD,
    LEAST_TESTS,
    base_rate,
    learn_prior,
    rank_arms,
    shrink,
)

EFFECTS = st.floats(-1, 1)
ERRORS = st.floats(1e-6, 1)
SPREADS = st.floats(1e-4, 2)


def shares(events, n):
    return ArmStats(n, float(events), float(events))


@given(EFFECTS, ERRORS, SPREADS)
def test_a_shown_effect_is_the_measured_one_pulled_towards_nothing(effect, error, spread):
    shown = shrink(effect, error, spread)
    assert abs(shown.effect) <= abs(effect)
    assert shown.effect * effect >= 0
    assert shown.low <= shown.effect <= shown.high
    assert shown.high - shown.low <= 2 * 1.96 * error
    assert 0 <= shown.probability_better <= 1
    assert shown.loss >= 0


@given(EFFECTS, ERRORS, SPREADS)
def test_swapping_the_arms_changes_the_signs(effect, error, spread):
    there, back = shrink(effect, error, spread), shrink(-effect, error, spread)
    assert (there.effect, there.low, there.high) == (-back.effect, -back.high, -back.low)
    assert there.probability_better == pytest.approx(1 - back.probability_better, abs=1e-12)
    # The two losses differ by exactly what is believed about the effect.
    assert back.loss - there.loss == pytest.approx(there.effect, abs=1e-9)


def test_without_any_spread_nothing_is_believed_and_without_error_everything():
    assert shrink(0.3, 0.1, 0.0).effect == 0
    assert shrink(0.3, 0.0, 0.1).effect == 0.3
    assert shrink(0.3, 0.1, math.inf).effect == 0.3


@given(st.lists(st.tuples(EFFECTS, ERRORS), max_size=LEAST_TESTS - 1))
def test_a_young_workspace_takes_a_tenth_of_the_base_rate(tests):
    prior = learn_prior([d for d, _ in tests], [s for _, s in tests])
    assert prior.spread == FALLBACK_SPREAD
    assert not prior.is_learned


def test_tests_that_cannot_be_used_are_not_counted():
    tests = [(0.1, 0.0), (math.nan, 0.1), (0.2, 0.05)]
    assert learn_prior([d for d, _ in tests], [s for _, s in tests]).count_tests == 1


@pytest.mark.parametrize("spread", [0.03, 0.1, 0.4])
def test_the_spread_of_many_tests_is_found_again(spread):
    rng = np.random.default_rng(8)
    errors = rng.uniform(0.02, 0.2, 4000)
    effects = rng.normal(0, np.sqrt(spread**2 + errors**2))
    prior = learn_prior(effects.tolist(), errors.tolist())
    assert prior.is_learned
    assert prior.spread == pytest.approx(spread, rel=0.1)


def test_effects_no_larger_than_their_noise_are_believed_to_be_nothing():
    prior = learn_prior([0.01, -0.01] * 20, [0.1] * 40)
    assert prior.spread == pytest.approx(0.001, rel=0.05)


@given(
    st.integers(50, 900),
    st.integers(50, 900),
    st.integers(1000, 4000),
    st.integers(1000, 4000),
    st.floats(0.001, 0.1),
)
def test_two_arms_are_ranked_as_their_difference_is_shrunk(x, y, n, m, spread):
    a, b = shares(x, n), shares(y, m)
    error = math.sqrt(a.variance / a.n + b.variance / b.n)
    shown = shrink(a.mean - b.mean, error, spread)
    best = rank_arms([a, b], spread)
    assert best[0].probability == pytest.approx(shown.probability_better, abs=1e-8)
    assert best[0].loss == pytest.approx(shown.loss, abs=1e-8)


def test_several_arms_are_ranked_as_by_draws_from_the_joint_posterior():
    arms = [shares(40, 1000), shares(150, 3000), shares(100, 2000)]
    spread = 0.01
    means = np.array([arm.mean for arm in arms])
    noise = np.diag([arm.variance / arm.n for arm in arms])
    # An unknown level of variance 1 is as good as none known: rates spread by thousandths here.
    prior = np.full((3, 3), 1.0) + np.eye(3) * spread**2 / 2
    gain = prior @ np.linalg.inv(prior + noise)
    rng = np.random.default_rng(3)
    drawn = rng.multivariate_normal(gain @ means, prior - gain @ prior, 300_000)
    chances = np.bincount(drawn.argmax(axis=1)) / 300_000
    best = rank_arms(arms, spread)
    assert [arm.probability for arm in best] == pytest.approx(chances, abs=0.004)
    losses = drawn.max(axis=1).mean() - drawn.mean(axis=0)
    assert [arm.loss for arm in best] == pytest.approx(losses, abs=5e-5)


def test_the_unit_of_relative_effects_is_that_of_both_arms():
    assert base_rate([shares(10, 100), shares(30, 100)]) == pytest.approx(0.2)
    assert base_rate([]) == 0
