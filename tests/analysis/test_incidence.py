"""Shares by cause against published numbers, statsmodels and plain proportions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

from pipeline.analysis.incidence import OPEN, compare_groups, count_risk, log_log_interval

MERCAPTOPURINE = (
    [(day, "end") for day in (6, 6, 6, 7, 10, 13, 16, 22, 23)]
    + [(day, OPEN) for day in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)]
)  # fmt: skip
PLACEBO = [
    (day, "end") for day in (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)
]


def of(rows, **values):
    times, ends = zip(*rows, strict=True)
    return count_risk(times, ends, **values)


def test_where_nothing_competes_it_is_kaplan_meier_with_greenwoods_errors():
    share, error = of(MERCAPTOPURINE).shares("end")
    expected = (0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482)
    assert 1 - share == pytest.approx(expected, abs=6e-5)
    errors = (0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346)
    assert error == pytest.approx(errors, abs=6e-5)
    assert of(MERCAPTOPURINE).quantile(0.5, "end", of_ends=False) == 23


@pytest.mark.parametrize(
    ("rows", "mean", "error"),
    [(MERCAPTOPURINE, 16.1165266, 1.2515602), (PLACEBO, 8.4285714, 1.2680827)],
)
def test_restricted_means_have_their_published_errors(rows, mean, error):
    assert of(rows).restricted_mean(20, "end") == pytest.approx((mean, error), abs=1e-6)


COMPETING_TIMES = [1, 1, 2, 4, 4, 4, 6, 6, 7, 8, 9, 9, 9, 1, 2, 2, 4, 4]
COMPETING = [1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]


def test_competing_ends_have_the_shares_of_r_and_stata():
    risk = count_risk(COMPETING_TIMES, [str(end) if end else OPEN for end in COMPETING])
    assert risk.times.tolist() == [1, 2, 4, 6, 7]
    one, error_one = risk.shares("1")
    two, error_two = risk.shares("2")
    three, error_three = risk.shares("3")
    assert one[:2] == pytest.approx((0.11111111, 0.17037037), abs=1e-8)
    assert two[2] == pytest.approx(0.20740741, abs=1e-8)
    assert three[3:] == pytest.approx((0.17777778, 0.26666667), abs=1e-8)
    assert error_one[:2] == pytest.approx((0.07407407, 0.08976251), abs=1e-8)
    assert error_two[2] == pytest.approx(0.10610391, abs=1e-4)
    assert error_three[3:] == pytest.approx((0.11196147, 0.12787781), abs=1e-6)


def test_the_log_rank_tests_are_the_published_ones():
    rows = [*MERCAPTOPURINE, *PLACEBO]
    times, ends = zip(*rows, strict=True)
    groups = ["drug"] * 21 + ["placebo"] * 21
    statistic, p_value, pairs = compare_groups(times, [end != OPEN for end in ends], groups)
    assert (statistic, p_value) == pytest.approx((16.79294, 4.1688e-5), abs=1e-5)
    assert pairs == {("drug", "placebo"): pytest.approx(p_value)}
    short = compare_groups([10, 20, 30, 10, 20, 50], [1, 0, 1, 1, 0, 1], list("aaabbb"))
    assert short[:2] == pytest.approx((0.384615, 0.535143), abs=1e-6)


@pytest.mark.parametrize(("ties", "expected"), [("efron", 1.57213), ("breslow", 1.50919)])
def test_cox_of_statsmodels_is_the_published_one(ties, expected):
    times, ends = zip(*MERCAPTOPURINE, *PLACEBO, strict=True)
    group = np.repeat([0.0, 1.0], 21)[:, None]
    fitted = PHReg(np.array(times), group, status=np.array(ends) == "end", ties=ties).fit()
    assert fitted.params[0] == pytest.approx(expected, abs=1e-5)


ENDS = st.sampled_from([OPEN, "a", "b"])
ROWS = st.lists(st.tuples(st.integers(0, 30), ENDS), min_size=1, max_size=60)


@given(ROWS)
def test_shares_and_errors_are_those_of_statsmodels(rows):
    times, ends = zip(*rows, strict=True)
    causes = sorted(set(ends) - {OPEN})
    if not causes:
        assert len(of(rows).times) == 0
        return
    status = np.array([0 if end == OPEN else causes.index(end) + 1 for end in ends])
    # A time of 0 means "never entered" there.
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = CumIncidenceRight(np.array(times) + 1.0, status)
    risk = of(rows)
    at = np.searchsorted(expected.times, risk.times + 1)
    for number, cause in enumerate(causes):
        share, error = risk.shares(cause)
        assert share == pytest.approx(expected.cinc[number][at], abs=1e-9)
        assert np.all(np.isfinite(error))
        low, high = log_log_interval(risk, share, error)
        assert np.all((low >= 0) & (low <= share) & (share <= high) & (high <= 1))


@given(ROWS)
def test_without_anybody_open_shares_are_plain_proportions_with_binomial_errors(rows):
    kept = [(time, end) for time, end in rows if end != OPEN]
    if not kept:
        return
    risk = of(kept)
    for cause in risk.causes:
        share, error = risk.shares(cause)
        n = len(kept)
        for time, one, its_error in zip(risk.times, share, error, strict=True):
            plain = sum(t <= time and end == cause for t, end in kept) / n
            assert one == pytest.approx(plain, abs=1e-9)
            assert its_error == pytest.approx(math.sqrt(plain * (1 - plain) / n), abs=1e-7)


@given(ROWS, st.randoms())
def test_order_does_not_matter_and_counts_are_people(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    risk, again = of(rows), of(shuffled)
    doubled = of([*rows, *rows])
    counted = of(rows, counts=[2] * len(rows))
    assert counted.count == doubled.count == 2 * risk.count
    for cause in risk.causes:
        assert risk.shares(cause)[0] == pytest.approx(again.shares(cause)[0], abs=1e-12)
        for one, other in zip(doubled.shares(cause), counted.shares(cause), strict=True):
            assert one == pytest.approx(other, abs=1e-12)


LATE = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 20), st.booleans()), min_size=2, max_size=50
)


@given(LATE)
def test_late_entry_is_that_of_statsmodels(rows):
    entry = np.array([first for first, _, _ in rows], dtype=float)
    stop = entry + [after for _, after, _ in rows]
    ended = np.array([is_ended for _, _, is_ended in rows])
    if not ended.any():
        return
    expected = SurvfuncRight(stop, ended.astype(int), entry=entry)
    risk = count_risk(stop, np.where(ended, "end", OPEN).tolist(), entries=entry)
    at = np.searchsorted(expected.surv_times, risk.times)
    assert 1 - risk.shares("end")[0] == pytest.approx(expected.surv_prob[at], abs=1e-9)
    assert risk.at_risk == pytest.approx(expected.n_risk[at])


def test_who_was_never_observed_takes_no_part():
    risk = count_risk([5, 9, 9], ["end", "end", OPEN], entries=[5, 2, 0])
    assert (risk.count, risk.times.tolist(), risk.at_risk.tolist()) == (2, [9.0], [2.0])


def test_quantiles_of_those_that_come_to_an_end_are_conditional():
    rows = [(1, "a"), (2, "a"), (9, "a"), (9, "b"), *[(30, OPEN)] * 6]
    risk = of(rows)
    assert risk.quantile(0.5, "a", of_ends=False) is None
    assert risk.quantile(0.5, "a", of_ends=True) == 2
    assert risk.quantile(0.8, "a", of_ends=True) == 9
