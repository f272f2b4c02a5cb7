import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.single_look import lift_interval, plain_interval, plain_p


def shares(events, n):
    return ArmStats(n, float(events), float(events))


counts = st.integers(0, 3000).flatmap(lambda n: st.builds(shares, st.integers(0, n), st.just(n)))
money = st.lists(st.floats(0, 1000, allow_subnormal=False), max_size=60).map(
    lambda values: ArmStats(len(values), sum(values), sum(v * v for v in values))
)
arms = st.one_of(counts, money)


@given(arms, arms)
def test_every_answer_is_a_number_in_its_range_or_none(a, b):
    assert 0 <= plain_p(a, b) <= 1
    interval = plain_interval(a, b)
    if interval:
        assert interval[0] <= a.mean - b.mean <= interval[1]
    lift = lift_interval(a, b)
    if lift:
        assert all(math.isfinite(end) for end in lift)
        assert lift[0] <= a.mean / b.mean - 1 + 1e-9
        assert a.mean / b.mean - 1 <= lift[1] + 1e-9


@given(arms, arms)
def test_swapping_the_arms_changes_the_sign_only(a, b):
    assert plain_p(a, b) == pytest.approx(plain_p(b, a), abs=1e-9)
    there, back = plain_interval(a, b), plain_interval(b, a)
    assert (there is None) == (back is None)
    if there:
        assert there == pytest.approx((-back[1], -back[0]), abs=1e-9)


@given(arms)
def test_an_arm_does_not_differ_from_itself(a):
    assert plain_p(a, a) == pytest.approx(1)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(shares(0, 0), shares(5, 9), id="an empty arm"),
        pytest.param(shares(0, 50), shares(0, 50), id="zero events"),
        pytest.param(shares(50, 50), shares(50, 50), id="all converted"),
        pytest.param(ArmStats(900), ArmStats(900), id="no money"),
    ],
)
def test_nothing_differs_where_nothing_can_be_told(a, b):
    assert plain_p(a, b) == 1


def test_one_buyer_is_no_evidence():
    buyer, nobody = ArmStats(900, 5000.0, 5000.0**2), ArmStats(900)
    assert plain_p(buyer, nobody) > 0.3
    low, high = plain_interval(buyer, nobody)
    assert low < 0 < high
    assert lift_interval(buyer, nobody) is None


def test_everybody_against_nobody_is_told_apart_exactly():
    assert plain_p(shares(10, 10), shares(0, 10)) < 1e-4
    assert plain_interval(shares(10, 10), shares(0, 10))[1] == pytest.approx(1)


def test_the_exact_test_takes_over_where_few_are_expected():
    # Nineteen events leave 9.5 to each arm, twenty leave 10: the pooled z is 4.58 and 4.71.
    exact, approximate = (plain_p(shares(x, 100), shares(0, 100)) for x in (19, 20))
    assert exact == pytest.approx(stats.boschloo_exact([[19, 0], [81, 100]]).pvalue)
    assert approximate == pytest.approx(2 * stats.norm.sf(math.sqrt(200 * 0.1 / 0.9)))
