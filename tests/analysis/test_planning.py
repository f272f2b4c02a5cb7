import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis.planning import (
    Outcome,
    TestRule,
    detectable_target,
    leads_per_arm,
    machine_factor,
    observed_rate,
    plan_for_effect,
)

BASES = st.floats(0.002, 0.5)
LIFTS = st.floats(1.05, 1.9)


def test_five_to_six_per_cent_needs_what_the_page_of_numbers_says():
    plan = plan_for_effect(Outcome(0.05), 0.06, TestRule(), leads_per_day=200, window_days=14)
    assert plan.leads_once == 2 * 8142.60 // 1 + 1
    assert plan.leads == pytest.approx(2 * 8142.60 * 1.11, abs=1)
    assert plan.leads_expected == pytest.approx(2 * 8142.60 * 0.83, abs=1)
    assert plan.days == pytest.approx(2 * 8142.60 * 1.11 / 200 + 14)
    assert plan.relative == pytest.approx(0.2)


def test_an_open_test_is_larger_and_every_further_arm_costs():
    sizes = [
        plan_for_effect(Outcome(0.05), 0.06, rule).leads
        for rule in (TestRule(), TestRule(mode="open"), TestRule(arms=3), TestRule(power=0.9))
    ]
    assert sizes[1] / sizes[0] == pytest.approx(1.71 / 1.11, rel=1e-3)
    assert sizes[2] > 1.5 * sizes[0]
    assert sizes[3] > 1.3 * sizes[0]
    assert TestRule(arms=4).pair_alpha == 0.025
    assert TestRule(arms=2).pair_alpha == 0.05


def test_fifty_per_arm_see_eighteen_points():
    target = detectable_target(Outcome(0.05), 100 * 1.11, TestRule())
    assert target - 0.05 == pytest.approx(0.18, abs=0.006)


@settings(max_examples=30)
@given(BASES, LIFTS, st.sampled_from(["planned", "open"]), st.integers(2, 6))
def test_what_is_detectable_is_the_inverse_of_what_is_needed(base, lift, mode, arms):
    outcome, rule = Outcome(base), TestRule(arms, mode)
    target = base * lift
    leads = leads_per_arm(outcome, target, alpha=rule.pair_alpha, power=0.8) * arms * rule.most
    if leads > 2 * arms * rule.most:
        assert detectable_target(outcome, leads, rule) == pytest.approx(target, rel=1e-4)


@settings(max_examples=30)
@given(BASES, st.integers(1, 10**6))
def test_more_leads_never_see_less(base, leads):
    fewer, more = (detectable_target(Outcome(base), n, TestRule()) for n in (leads, 2 * leads))
    if fewer is not None:
        assert base < more <= fewer


def test_a_handful_of_leads_sees_nothing():
    assert detectable_target(Outcome(0.05), 2, TestRule()) is None
    assert detectable_target(Outcome(0.05), 0.5, TestRule()) is None


def test_money_is_planned_by_its_spread():
    outcome = Outcome(6.0, deviation=70.0)
    each = leads_per_arm(outcome, 8.4, alpha=0.05, power=0.8)
    # The textbook's 16 s²/d².
    assert each == pytest.approx(16 * (70 / 2.4) ** 2, rel=0.02)
    plan = plan_for_effect(outcome, 8.4, TestRule())
    assert detectable_target(outcome, plan.leads, TestRule()) == pytest.approx(8.4, abs=1e-3)


@pytest.mark.parametrize(
    ("machines", "expected"), [(0.0, 1248), (0.45, 4973), (0.60, 8076)], ids=["none", "45", "60"]
)
def test_machine_opens_dilute_a_test_of_opens(machines, expected):
    rates = [observed_rate(rate, machines) for rate in (0.25, 0.30)]
    each = leads_per_arm(Outcome(rates[0]), rates[1], alpha=0.05, power=0.8)
    assert each == pytest.approx(expected, abs=2.5)
    clean = leads_per_arm(Outcome(0.25), 0.30, alpha=0.05, power=0.8)
    assert machine_factor(0.25, 0.30, machines) == pytest.approx(each / clean)
