import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.best import believe_money, believe_shares, rank_means, rank_normals


def shares(*counts):
    return believe_shares([ArmStats(n, float(x), float(x)) for x, n in counts])


ARMS = st.lists(
    st.integers(0, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    min_size=2,
    max_size=6,
)


@settings(max_examples=50)
@given(ARMS, st.randoms(use_true_random=False))
def test_probabilities_are_a_distribution_and_follow_their_arms(counts, random):
    best = rank_means(shares(*counts))
    assert sum(arm.probability for arm in best) == pytest.approx(1)
    assert all(0 <= arm.probability <= 1 + 1e-12 and 0 <= arm.loss <= 1 for arm in best)
    order = list(range(len(counts)))
    random.shuffle(order)
    again = rank_means(shares(*(counts[ix] for ix in order)))
    for place, ix in enumerate(order):
        assert tuple(again[place]) == pytest.approx(tuple(best[ix]), abs=1e-9)


def test_an_arm_known_to_the_last_digit_is_a_step_for_the_others():
    best = rank_means(shares((2, 5), (4_200_000, 10_000_000)))
    assert best[0].probability == pytest.approx(0.50290508, abs=1e-6)


def test_the_loss_of_the_best_is_what_is_left_to_doubt():
    best = rank_means(shares((40, 1000), (60, 1000), (80, 1000)))
    assert best[2].loss < best[1].loss < best[0].loss
    # Choosing the first costs the distance of the means more than choosing the last.
    assert best[0].loss - best[2].loss == pytest.approx(40 / 1002)


def test_normal_beliefs_are_those_of_many_draws():
    centres, deviations = np.array([[1.0, 1.2, 0.4], [1.5, 1.3, 0.2]]), np.array([0.3, 0.2, 0.9])
    best = rank_normals(centres, deviations, np.array([0.25, 0.75]))
    rng = np.random.default_rng(5)
    which = (rng.random(400_000) < 0.75).astype(int)
    drawn = centres[which] + deviations * rng.normal(size=(400_000, 3))
    chances = np.bincount(drawn.argmax(axis=1)) / 400_000
    assert [arm.probability for arm in best] == pytest.approx(chances, abs=0.003)
    losses = drawn.max(axis=1).mean() - drawn.mean(axis=0)
    assert [arm.loss for arm in best] == pytest.approx(losses, abs=0.003)


def test_nothing_is_believed_about_money_without_buyers():
    assert believe_money([ArmStats(10), ArmStats(10)]) is None
    assert believe_money([ArmStats(0), ArmStats(10, 5.0, 25.0)]) is None
