import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.sample_ratio import check_sample_ratio
from tests.analysis.conftest import OTHERS

HALVES = {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("counts", "p_value"),
    [
        pytest.param((821_588, 815_482), 1.8217929e-6, id="Kohavi, Tang and Xu"),
        pytest.param((1080, 920), 0.000346619351, id="1,080 against 920"),
    ],
)
def test_the_p_value_is_the_published_one(counts, p_value):
    ratio = check_sample_ratio(dict(zip("ab", counts, strict=True)), HALVES)
    assert ratio.p_value == pytest.approx(p_value, rel=1e-7)
    assert ratio.is_alarm


def test_the_log_e_value_is_the_golden_one():
    ratio = check_sample_ratio({"a": 1080, "b": 920}, HALVES)
    assert ratio.log_e == pytest.approx(4.443118218621, abs=1e-8)


def test_the_held_out_group_counts_and_a_sound_split_passes():
    counts = {"men": 21_307, "women": 21_387, "(holdout)": 21_306}
    ratio = check_sample_ratio(counts, dict.fromkeys(counts, 1 / 3))
    assert round(ratio.p_value, 4) == 0.9037
    assert not ratio.is_alarm


def test_an_arm_without_share_takes_no_degree_of_freedom():
    counts = {"a": 1080, "b": 920, "retired": 3}
    ratio = check_sample_ratio(counts, {**HALVES, "retired": 0.0})
    assert ratio.p_value == pytest.approx(0.000346619351, rel=1e-7)
    assert "retired" not in ratio.observed


def test_an_arm_nobody_fell_into_is_noticed_by_the_share_it_leaves():
    ratio = check_sample_ratio({"a": 500, "b": 500}, {"a": 0.4, "b": 0.4})
    assert ratio.is_alarm
    assert ratio.observed["(absent)"] == 0
    assert ratio.expected["(absent)"] == pytest.approx(200)


def test_nobody_assigned_is_no_alarm():
    ratio = check_sample_ratio({}, HALVES)
    assert (ratio.p_value, ratio.log_e, ratio.is_alarm) == (1.0, 0.0, False)
    assert not check_sample_ratio({"a": 10}, {"a": 1.0}).is_alarm


def test_a_handful_of_leads_in_a_small_group_does_not_alarm_by_chi_square():
    ratio = check_sample_ratio({"a": 20, "b": 1}, {"a": 0.999, "b": 0.001})
    assert ratio.p_value < 0.001
    assert not ratio.is_alarm


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.floats(0.001, 1)), min_size=2, max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_check_is_finite_and_does_not_depend_on_the_order_of_arms(groups, random):
    total = sum(share for _, share in groups)
    names = [f"arm {ix}" for ix in range(len(groups))]
    counts = {name: count for name, (count, _) in zip(names, groups, strict=True)}
    shares = {name: share / total for name, (_, share) in zip(names, groups, strict=True)}
    ratio = check_sample_ratio(counts, shares)
    random.shuffle(names)
    shuffled = check_sample_ratio(
        {name: counts[name] for name in names}, {name: shares[name] for name in names}
    )
    assert shuffled == ratio
    assert 0 <= ratio.p_value <= 1
    assert math.isfinite(ratio.log_e)


@pytest.mark.slow
def test_sound_splits_alarm_in_about_one_per_cent_and_broken_ones_in_three_of_four(calibration):
    rng = np.random.default_rng(20240501)
    tests = 250 * calibration.times

    def alarmed(share):
        found = 0
        for _ in range(tests):
            a = rng.binomial(400, share, 28).cumsum()
            days = np.arange(1, 29) * 400
            found += any(
                check_sample_ratio({"a": int(x), "b": int(n - x)}, HALVES).is_alarm
                for x, n in zip(a, days, strict=True)
            )
        return found / tests

    sound, broken = alarmed(0.5), alarmed(0.52)
    for question, share, target in (
        ("split as declared, 28 daily checks of 11,200 leads: alarm", sound, "≤ 1 %"),
        ("52 to 48 instead of halves: alarm", broken, "≥ 75 %"),
    ):
        calibration.note(OTHERS, question, share, target, draws=tests, seed=20240501)
    assert sound <= 0.01 + 2 * math.sqrt(0.01 * 0.99 / tests)
    assert broken >= 0.75
