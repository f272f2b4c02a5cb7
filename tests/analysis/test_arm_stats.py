import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.arm_stats import ArmStats

money = st.lists(st.floats(0, 1000, allow_subnormal=False), max_size=60).map(
    lambda values: ArmStats(len(values), sum(values), sum(v * v for v in values))
)


@given(st.lists(money, min_size=1, max_size=5))
def test_merged_statistics_are_the_statistics_of_merged_leads(parts):
    merged = sum(parts, ArmStats())
    assert merged.n == sum(part.n for part in parts)
    assert merged.mean * merged.n == pytest.approx(sum(part.sum for part in parts))
    spread = sum(part.variance * part.n + part.n * (part.mean - merged.mean) ** 2 for part in parts)
    assert merged.variance * merged.n == pytest.approx(spread, rel=1e-6, abs=1e-3)


@given(money)
def test_events_of_money_are_never_more_than_the_leads(stats):
    assert stats.events <= stats.n * (1 + 1e-9)


def test_one_big_buyer_is_not_enough_for_money():
    whale = ArmStats(1000, 10_000.0 + 11 * 1.0, 10_000.0**2 + 11 * 1.0)
    assert whale.events == pytest.approx(1, abs=0.01)
    assert not whale.is_burned_in


@given(st.integers(0, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_of_shares_the_events_are_the_leads_that_had_one(counts):
    arm = ArmStats(counts[1], counts[0], counts[0])
    assert arm.is_binary
    assert arm.events == counts[0]


def test_nobody_has_neither_mean_nor_spread():
    nobody = ArmStats()
    assert (nobody.mean, nobody.variance, nobody.events) == (0, 0, 0)
    assert not nobody.is_burned_in
