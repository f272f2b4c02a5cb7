import json
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.analysis.sequential import (
    BoundaryState,
    always_valid_p,
    confidence_interval,
    confidence_multiplier,
    dirichlet_log_e,
    log_evidence,
    next_look,
    rejected_by_evidence,
    spend_obrien_fleming,
    spending_p,
    tuning_rate,
)


def boundaries(fractions, spent, leads=1000):
    state, found = BoundaryState(), []
    for fraction, so_far in zip(fractions, spent, strict=True):
        state = next_look(state, fraction * leads, so_far)
        found.append(state.multiplier)
    return found


def approximate_rate(n_optimal, alpha):
    return (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / n_optimal


def test_the_mixture_gives_the_figures_of_the_confseq_unit_tests():
    rate = approximate_rate(100, 0.05)
    assert 1 / rate == pytest.approx(12.60056, abs=1e-5)
    assert log_evidence(10 / 10, 100, rate) == pytest.approx(-0.6510052, abs=1e-6)
    assert 10 * confidence_multiplier(100, rate, 0.05) == pytest.approx(30.35209, abs=1e-5)


def test_the_mixture_gives_the_relative_interval_of_the_gbstats_suite():
    control, treated = 1396 / 3000, 2422 / 3461
    variances = (
        treated * (1 - treated) / (control**2 * 3461),
        control * (1 - control) * treated**2 / (control**4 * 3000),
    )
    multiplier = confidence_multiplier(6461, approximate_rate(5000, 0.05), 0.05)
    lift = treated / control - 1
    interval = confidence_interval(lift, math.sqrt(sum(variances)), multiplier)
    assert (lift, *interval) == pytest.approx((0.50386, 0.40098, 0.60675), abs=6e-6)


def test_the_exact_tuning_gives_the_closed_form_multiplier():
    rate = tuning_rate(16296, 0.05)
    assert confidence_multiplier(16296, rate, 0.05) == pytest.approx(3.0351224216, abs=1e-9)


@given(n=st.integers(1, 10**7), alpha=st.floats(0.001, 0.3), n_optimal=st.integers(2, 10**6))
def test_the_boundary_is_where_the_evidence_reaches_one_over_alpha(n, alpha, n_optimal):
    rate = tuning_rate(n_optimal, alpha)
    multiplier = confidence_multiplier(n, rate, alpha)
    assert log_evidence(multiplier, n, rate) == pytest.approx(-math.log(alpha), abs=1e-6)


def test_nothing_is_excluded_before_the_first_lead():
    assert confidence_multiplier(0, 0.1, 0.05) == math.inf


@given(st.lists(st.floats(-50, 800), min_size=1, max_size=30))
def test_the_always_valid_p_never_rises_and_stays_in_its_range(log_es):
    p = 1.0
    for log_e in log_es:
        smaller = always_valid_p(log_e, p)
        assert 0 <= smaller <= p
        p = smaller


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param(5, (4.8769, 3.3569, 2.6803, 2.2898, 2.0310), id="five looks"),
        pytest.param(4, (4.3326, 2.9631, 2.3590, 2.0141), id="four looks"),
    ],
)
def test_obrien_fleming_boundaries_are_those_of_ldbounds(looks, expected):
    fractions = np.arange(1, looks + 1) / looks
    spent = [spend_obrien_fleming(float(fraction), 0.05) for fraction in fractions]
    assert boundaries(fractions, spent) == pytest.approx(expected, abs=3e-4)


def test_another_spending_gives_the_pocock_boundaries_of_ldbounds():
    fractions = np.arange(1, 6) / 5
    spent = 0.05 * np.log(1 + (np.e - 1) * fractions)
    expected = (2.4380, 2.4268, 2.4101, 2.3966, 2.3859)
    assert boundaries(fractions, spent.tolist()) == pytest.approx(expected, abs=3e-4)


def test_quadratic_spending_gives_the_nominal_levels_of_the_spotify_suite():
    fractions = np.array([250, 450, 630, 810]) / 810
    found = boundaries(fractions, (0.01 * fractions**2).tolist())
    nominal = 2 * stats.norm.sf(found)
    assert nominal == pytest.approx((0.00095, 0.00241, 0.00410, 0.00636), abs=6e-6)


def test_the_boundary_does_not_depend_on_the_unit_of_information():
    fractions = np.arange(1, 8) / 7
    spent = [spend_obrien_fleming(float(fraction), 0.04) for fraction in fractions]
    small = boundaries(fractions, spent, leads=50)
    assert small == pytest.approx(boundaries(fractions, spent, leads=10**6), abs=1e-9)


def test_paths_without_effect_cross_as_often_as_was_spent():
    rng = np.random.default_rng(7)
    fractions = np.arange(1, 29) / 28
    spent = [spend_obrien_fleming(float(fraction), 0.05) for fraction in fractions]
    paths = rng.normal(size=(100_000, 28)).cumsum(axis=1) / np.sqrt(np.arange(1, 29))
    crossed = (np.abs(paths) > np.array(boundaries(fractions, spent))).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=0.0025)


def test_a_state_survives_json_and_gives_the_same_next_boundary():
    state = next_look(next_look(BoundaryState(), 100.0, 0.001), 200.0, 0.004)
    read = BoundaryState.from_json(json.loads(json.dumps(state.to_json())))
    assert read == state
    assert next_look(read, 300.0, 0.009) == next_look(state, 300.0, 0.009)
    empty = BoundaryState()
    assert BoundaryState.from_json(json.loads(json.dumps(empty.to_json()))) == empty


def test_a_look_without_new_leads_is_the_look_before():
    state = next_look(BoundaryState(), 1000.0, 0.01)
    assert next_look(state, 1000.0, 0.02) is state
    assert next_look(state, 1000.5, 0.02) is state
    assert next_look(state, 900.0, 0.02) is state


def test_a_plan_that_is_spent_has_no_boundary_any_more():
    state = next_look(BoundaryState(), 1000.0, 0.04)
    later = next_look(state, 1200.0, 0.04)
    assert later.multiplier == math.inf
    assert later.spent == state.spent


def test_the_next_look_costs_at_most_ten_milliseconds():
    state = BoundaryState()
    for look in range(1, 15):
        state = next_look(state, look * 131.0, spend_obrien_fleming(look / 28, 0.04))
    seconds = []
    for look in range(15, 25):
        began = time.perf_counter()
        state = next_look(state, look * 131.0, spend_obrien_fleming(look / 28, 0.04))
        seconds.append(time.perf_counter() - began)
    # The fastest of ten: the machine may be busy with other things.
    assert min(seconds) <= 0.010


@given(st.floats(0, 5), st.floats(0.001, 0.2))
def test_spending_starts_at_nothing_and_ends_at_alpha(fraction, alpha):
    spent = spend_obrien_fleming(fraction, alpha)
    assert 0 <= spent <= alpha + 1e-12
    assert spend_obrien_fleming(0.0, alpha) == 0
    assert spend_obrien_fleming(max(fraction, 1.0), alpha) == pytest.approx(alpha)
    assert spend_obrien_fleming(fraction + 0.1, alpha) >= spent


def test_the_p_value_of_the_plan_inverts_its_spending():
    alpha = 0.04
    root = stats.norm.isf(alpha / 4)
    assert spending_p(root) == pytest.approx(spend_obrien_fleming(1.0, alpha))
    assert spending_p(0.0) == 1.0


def test_dirichlet_evidence_equals_the_ratio_of_two_library_likelihoods():
    log_e = dirichlet_log_e([1080, 920], [0.5, 0.5], 400)
    assert log_e == pytest.approx(4.443118218621, abs=1e-8)
    mixture = stats.dirichlet_multinomial.logpmf([1080, 920], [200, 200], 2000)
    assert log_e == pytest.approx(mixture - stats.multinomial.logpmf([1080, 920], 2000, [0.5, 0.5]))


def test_dirichlet_evidence_of_nothing_is_one():
    assert dirichlet_log_e([0, 0, 0], [0.2, 0.3, 0.5], 100) == pytest.approx(0)


def test_e_bh_rejects_the_largest_group_that_meets_its_own_threshold():
    log_es = [math.log(e) for e in (1.0, 31.0, 16.0, 2.0)]
    # Thresholds of four hypotheses at q = 0.1: 40, 20, 13.3, 10. Three are needed at 13.3.
    assert rejected_by_evidence(log_es, 0.1) == [False, False, False, False]
    log_es[0] = math.log(14.0)
    assert rejected_by_evidence(log_es, 0.1) == [True, True, True, False]
    assert rejected_by_evidence([], 0.1) == []
