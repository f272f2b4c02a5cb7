import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.comparisons import (
    Arm,
    ArmStats,
    Design,
    PairRule,
    compare_arms,
    compare_pair,
    is_money,
    order_arms,
    turn_around,
)

OPEN = PairRule(alpha=0.05, pair_leads=5000)


def binary(name, events, n, role="treatment", share=0.5):
    return Arm(name, role, share, n, ArmStats(n, float(events), float(events)))


counts = st.integers(0, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
money = st.lists(st.floats(0, 1000, allow_subnormal=False), max_size=60).map(
    lambda values: ArmStats(len(values), sum(values), sum(v * v for v in values))
)


def test_a_pair_gives_the_closed_form_interval_and_p_value():
    arms = [binary("a", 407, 8148, "control"), binary("b", 505, 8148)]
    [pair] = compare_arms(Design("replied", planned_leads=16_296, control="a"), arms)
    assert pair.effect == pytest.approx(0.0120274914, abs=1e-9)
    assert pair.evidence["standard_error"] == pytest.approx(0.0035999116, abs=1e-9)
    assert pair.evidence["multiplier"] == pytest.approx(3.0351224216, abs=1e-9)
    assert pair.interval_low == pytest.approx(0.0011013191, abs=1e-9)
    assert pair.interval_high == pytest.approx(0.0229536637, abs=1e-9)
    assert pair.p_value == pytest.approx(0.0209597050, abs=1e-9)
    assert pair.is_decisive
    assert pair.favours == "b"


def test_the_plain_interval_of_shares_is_newcombe():
    pair = compare_pair(OPEN, binary("b", 56, 70), binary("a", 48, 80), "replied", {})
    assert (pair.plain_95_low, pair.plain_95_high) == pytest.approx((0.0524, 0.3339), abs=6e-5)
    assert pair.interval_low is None


def test_the_plain_interval_of_money_is_welch():
    control = Arm("a", "control", 0.5, 3407, ArmStats(3407, 1396.87, 52377.9767))
    treated = Arm("b", "treatment", 0.5, 3461, ArmStats(3461, 2422.7, 134698.29))
    pair = compare_pair(OPEN, treated, control, "revenue(sale)", {})
    found = (pair.effect, pair.plain_95_low, pair.plain_95_high)
    assert found == pytest.approx((0.29, 0.04538, 0.53462), abs=6e-6)


@given(counts, counts)
def test_swapping_the_arms_changes_the_signs_and_nothing_else(one, other):
    a, b = binary("a", *one), binary("b", *other)
    forward = compare_pair(OPEN, b, a, "replied", {})
    backward = compare_pair(OPEN, a, b, "replied", {})
    assert turn_around(backward).effect == forward.effect
    assert turn_around(backward).interval_low == pytest.approx(forward.interval_low, abs=1e-12)
    assert turn_around(backward).plain_95_high == pytest.approx(forward.plain_95_high, abs=1e-12)
    assert turn_around(backward).relative_lift == forward.relative_lift
    assert backward.p_value == forward.p_value
    assert backward.is_decisive == forward.is_decisive
    assert turn_around(turn_around(forward)) == forward


@given(st.one_of(counts.map(lambda c: ArmStats(c[1], c[0], c[0])), money), money)
def test_intervals_hold_the_estimate_and_nothing_is_ever_nan(one, other):
    rule = PairRule(alpha=0.05, pair_leads=1000, is_planned=True, plan_fraction=0.4)
    for arm, baseline in ((one, other), (other, one), (one, one)):
        pair = compare_pair(
            rule, Arm("b", stats=arm), Arm("a", stats=baseline), "revenue(sale)", {}
        )
        numbers = [value for value in vars(pair).values() if isinstance(value, float)]
        assert all(math.isfinite(value) for value in numbers)
        assert 0 <= pair.p_value <= 1
        for low, high in (
            (pair.interval_low, pair.interval_high),
            (pair.plain_95_low, pair.plain_95_high),
        ):
            if low is not None:
                assert low <= pair.effect <= high
        if arm == baseline:
            assert not pair.is_decisive


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param((0, 500), (0, 500), id="nobody"),
        pytest.param((500, 500), (500, 500), id="everybody"),
        pytest.param((9, 5000), (60, 5000), id="nine events"),
        pytest.param((5, 99), (40, 99), id="too few leads"),
        pytest.param((0, 0), (40, 900), id="an empty arm"),
    ],
)
def test_before_burn_in_there_is_no_always_valid_interval(one, other):
    pair = compare_pair(OPEN, binary("b", *one), binary("a", *other), "replied", {})
    assert (pair.interval_low, pair.interval_high, pair.p_value) == (None, None, 1.0)
    assert not pair.is_decisive
    assert pair.favours is None


def test_the_p_value_keeps_the_smallest_of_all_looks():
    strong = compare_pair(OPEN, binary("b", 300, 3000), binary("a", 200, 3000), "replied", {})
    weaker = compare_pair(
        OPEN, binary("b", 320, 3500), binary("a", 300, 3500), "replied", strong.evidence
    )
    assert weaker.p_value == strong.p_value
    assert not weaker.is_decisive


def test_a_planned_pair_at_its_plan_is_tested_nearly_like_a_single_test():
    rule = PairRule(alpha=0.05, pair_leads=10_000, is_planned=True, plan_fraction=1.0)
    pair = compare_pair(rule, binary("b", 365, 5000), binary("a", 310, 5000), "replied", {})
    assert pair.evidence["multiplier"] == pytest.approx(2.0537, abs=1e-4)
    assert pair.is_decisive
    assert pair.p_value <= 0.05
    assert pair.interval_low > 0


def test_a_planned_pair_goes_on_always_valid_after_its_plan():
    rule = PairRule(alpha=0.05, pair_leads=10_000, is_planned=True, plan_fraction=1.0)
    at_plan = compare_pair(rule, binary("b", 310, 5000), binary("a", 310, 5000), "replied", {})
    later = compare_pair(
        rule, binary("b", 900, 9000), binary("a", 600, 9000), "replied", at_plan.evidence
    )
    assert later.evidence["multiplier"] > 3
    assert later.is_decisive


def test_levels_divide_by_the_competing_arms_and_apart_by_the_held_out_group():
    arms = [
        binary("a", 100, 2000, "control", 0.3),
        binary("b", 110, 2000, "treatment", 0.3),
        binary("c", 120, 2000, "treatment", 0.3),
        binary("(holdout)", 60, 700, "held_out", 0.1),
    ]
    pairs = compare_arms(Design("replied", alpha=0.06, control="a", planned_leads=10_000), arms)
    levels = {(pair.arm, pair.baseline): pair.evidence["alpha"] for pair in pairs}
    assert levels == pytest.approx(
        {
            ("b", "a"): 0.04,
            ("c", "a"): 0.04,
            ("c", "b"): 0.04,
            ("a", "(holdout)"): 0.02,
            ("b", "(holdout)"): 0.02,
            ("c", "(holdout)"): 0.02,
        }
    )
    leads = {pair.baseline: pair.evidence["pair_leads"] for pair in pairs}
    assert leads == pytest.approx({"a": 6000, "b": 6000, "(holdout)": 4000})


def test_the_control_is_the_baseline_whatever_it_is_called():
    arms = [binary("z", 1, 10, "control"), binary("a", 1, 10), binary("h", 1, 10, "held_out")]
    assert [arm.name for arm in order_arms(arms, None)] == ["h", "z", "a"]
    assert [arm.name for arm in order_arms(arms, "a")] == ["h", "a", "z"]


def test_money_is_told_from_shares_by_the_metric():
    assert is_money("revenue(sale)")
    assert not is_money("goal(sale)")
