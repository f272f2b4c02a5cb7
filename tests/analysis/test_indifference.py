"""Arms that cost little, arms that are equivalent: what a rule may add to the boundaries."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.proportion import tost_proportions_2indep

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.comparisons import Arm, Design
from pipeline.analysis.experiments import decide_experiment
from pipeline.analysis.indifference import (
    arm_that_costs_little,
    equivalence_p,
    threshold_of_caring,
)
from pipeline.analysis.shrinkage import LEAST_TESTS, Prior, base_rate, rank_arms, shrink

LEARNED = Prior(0.1, LEAST_TESTS)


def arm(name, n, events, role="treatment"):
    return Arm(name, role, 0.5, n, ArmStats(n, float(events), float(events)))


def pair(n, first, second):
    return [arm("a", n, first, "control"), arm("b", n, second)]


def design(**changed):
    values = {"metric": "replied", "control": "a", "prior": LEARNED, "expected_loss": 0.02}
    return Design(**values | changed)


def test_an_arm_that_costs_little_is_taken_though_it_beats_nobody():
    arms = pair(20_000, 2_000, 2_050)
    found = decide_experiment(design(), arms)
    assert (found.state, found.winner) == ("winner", "b")
    # 2 % of a base rate of 10.125 %.
    assert "less than the 0.20 % (2 % of the base rate) that are cared about" in found.reason
    assert "by effects of 20 comparisons of finished tests" in found.reason
    plain = decide_experiment(design(expected_loss=None), arms)
    assert plain.state == "running"


def test_without_finished_tests_to_learn_from_nobody_is_taken():
    young = design(prior=Prior(0.1, LEAST_TESTS - 1))
    assert decide_experiment(young, pair(20_000, 2_000, 2_050)).state == "running"
    assert threshold_of_caring(young, pair(20_000, 2_000, 2_050)) is None


def test_what_was_taken_stays_and_says_so():
    arms = pair(20_000, 2_000, 2_050)
    before = decide_experiment(design(), arms).evidence
    found = decide_experiment(design(), pair(21_000, 2_100, 2_160), previous=before)
    assert (found.state, found.winner) == ("winner", "b")
    assert found.reason.startswith("b was named before and stays. b costs")


def test_before_burn_in_and_with_a_broken_split_nobody_is_taken():
    assert decide_experiment(design(), pair(90, 20, 21)).state == "collecting"
    broken = [arm("a", 30_000, 3_000, "control"), arm("b", 20_000, 2_050)]
    assert decide_experiment(design(), broken).state == "invalid"


@given(
    n=st.integers(1_000, 50_000),
    events=st.lists(st.floats(0.02, 0.3), min_size=2, max_size=4),
    share=st.floats(0.001, 0.2),
)
def test_the_arm_that_is_taken_has_the_least_loss_and_it_is_below_the_threshold(n, events, share):
    arms = [arm(name, n, round(n * rate)) for name, rate in zip("abcd", events, strict=False)]
    stats = [each.stats for each in arms]
    assume(all(each.is_burned_in for each in stats))
    rule = design(expected_loss=share)
    ranked = rank_arms(stats, LEARNED.spread * base_rate(stats))
    found = arm_that_costs_little(
        rule, arms, dict(zip([each.name for each in arms], ranked, strict=True))
    )
    least = min(each.loss for each in ranked)
    assert (found is not None) == (least <= share * base_rate(stats))
    if found:
        assert ranked["abcd".index(found)].loss == least


@pytest.mark.slow
def test_what_a_taken_arm_costs_is_what_was_said_under_daily_looks(calibration):
    """Effects drawn from the prior: on average the loss at the stop is the true one."""
    days, per_day, rate, spread = 28, 100, 0.10, 0.10
    tests = 4_000 * calibration.times
    rng = np.random.default_rng(27)
    effects = rng.normal(0, spread, tests) * rate
    a = rng.binomial(per_day, rate - effects[:, None] / 2, (tests, days)).cumsum(axis=1)
    b = rng.binomial(per_day, rate + effects[:, None] / 2, (tests, days)).cumsum(axis=1)
    n = per_day * np.arange(1, days + 1)
    p, q = a / n, b / n
    error = np.sqrt((p * (1 - p) + q * (1 - q)) / n)
    belief = shrink(q - p, error, spread * (p + q) / 2)
    loss = np.minimum(belief.loss, belief.turned().loss)
    said = loss <= 0.02 * (p + q) / 2
    stopped = said.any(axis=1)
    at = np.arange(tests), np.where(stopped, said.argmax(axis=1), days - 1)
    taken_b = (belief.effect[at] > 0)[stopped]
    true = np.where(taken_b, np.maximum(0, -effects[stopped]), np.maximum(0, effects[stopped]))
    claimed, found = loss[at][stopped].mean(), true.mean()
    noise = 2 * true.std() / np.sqrt(stopped.sum())
    calibration.note(
        "What is shown after stopping",
        "stop by expected loss: true loss, part of the base rate",
        f"{100 * found / rate:.2f} %",
        f"{100 * claimed / rate:.2f} %, as it says",
        draws=tests,
        seed=27,
    )
    assert stopped.mean() > 0.3
    assert found <= claimed + noise
    assert found <= 0.02 * rate + noise


def test_equivalence_is_told_when_the_plan_is_used_up():
    rule = design(mode="planned", planned_leads=40_000, expected_loss=None, margin=0.1)
    found = decide_experiment(rule, pair(20_000, 2_000, 2_010))
    assert found.state == "no_difference"
    assert "b is equivalent to it within 10 % of the control's rate (p = " in found.reason
    far = decide_experiment(rule, pair(20_000, 2_000, 2_120))
    assert "b is not shown to be equivalent" in far.reason
    silent = decide_experiment(
        design(mode="planned", planned_leads=40_000, expected_loss=None),
        pair(20_000, 2_000, 2_010),
    )
    assert "equivalent" not in silent.reason


def test_equivalence_is_that_of_statsmodels_and_says_nothing_of_money():
    one, other = ArmStats(5_000, 500.0, 500.0), ArmStats(5_000, 510.0, 510.0)
    expected = tost_proportions_2indep(510, 5_000, 500, 5_000, -0.01, 0.01).pvalue
    assert equivalence_p(0.1, other, one, "replied") == pytest.approx(expected)
    assert equivalence_p(0.1, other, one, "revenue(sale)") is None
    assert equivalence_p(0.1, ArmStats(), one, "replied") is None
