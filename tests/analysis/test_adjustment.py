import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.analysis.adjustment import PairedSums, adjust_for_covariate, ratio_of_sums
from pipeline.analysis.arm_stats import ArmStats

VALUES = st.integers(2, 40).flatmap(lambda n: arrays(float, (2, n), elements=st.floats(0, 100)))


def paired(y, x):
    y, x = np.asarray(y, float), np.asarray(x, float)
    return PairedSums(len(y), y.sum(), (y * y).sum(), x.sum(), (x * x).sum(), (x * y).sum())


def of(values):
    return ArmStats(len(values), values.sum(), (values**2).sum())


@settings(max_examples=60)
@given(VALUES, VALUES)
def test_sums_of_adjusted_outcomes_are_those_of_the_adjusted_leads(one, other):
    arms = [paired(*one), paired(*other)]
    found = adjust_for_covariate(arms)
    # By row: the regression on the covariate within arms.
    within = sum(((x - x.mean()) ** 2).sum() for _, x in (one, other))
    shared = sum(((x - x.mean()) * (y - y.mean())).sum() for y, x in (one, other))
    if within < 1e-6:
        return
    level = np.concatenate([one[1], other[1]]).mean()
    for arm, (y, x) in zip(found, (one, other), strict=True):
        expected = of(y - shared / within * (x - level))
        assert arm.sum == pytest.approx(expected.sum, abs=1e-5 * (1 + abs(expected.sum)))
        assert arm.sum_squares == pytest.approx(expected.sum_squares, rel=1e-4, abs=1e-2)


@settings(max_examples=60)
@given(VALUES)
def test_a_ratio_has_the_variance_of_the_delta_method(values):
    y, x = values
    if x.sum() < 1:
        return
    found = ratio_of_sums(paired(y, x))
    ratio = y.sum() / x.sum()
    residual = (y - ratio * x) / x.mean()
    assert found.mean == pytest.approx(ratio)
    assert found.variance == pytest.approx(
        (residual**2).mean(), rel=1e-4, abs=1e-4 * ratio**2 + 1e-9
    )


def test_clusters_of_one_lead_are_leads():
    y = np.array([0, 1, 0, 0, 1.0])
    found = ratio_of_sums(paired(y, np.ones(5)))
    assert (found.n, found.sum) == (5, 2)
    assert found.variance == pytest.approx(of(y).variance)
    assert found.events == pytest.approx(2)


def test_accounts_that_answer_together_are_worth_less_than_their_leads():
    size = np.full(200, 5.0)
    together = np.repeat([0.0, 5.0], 100)
    leads = ArmStats(1000, 500, 500)
    found = ratio_of_sums(paired(together, size))
    assert found.mean == leads.mean
    assert found.variance / found.n == pytest.approx(5 * leads.variance / leads.n)


def test_without_a_covariate_that_varies_nothing_changes():
    arms = [paired([0, 1, 1], [2, 2, 2]), paired([0, 0, 1], [2, 2, 2])]
    assert adjust_for_covariate(arms) == [arm.outcome for arm in arms]
    assert adjust_for_covariate([]) == []
    assert adjust_for_covariate([PairedSums(), PairedSums()]) == [ArmStats(), ArmStats()]
    assert ratio_of_sums(PairedSums()) == ArmStats()
    assert ratio_of_sums(PairedSums(n=3)) == ArmStats(3)


def test_a_covariate_takes_out_what_it_explains():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 4000))
    y = 0.6 * x + 0.8 * rng.normal(size=(2, 4000))
    arms = [paired(y[ix], x[ix]) for ix in range(2)]
    found = adjust_for_covariate(arms)
    for arm, plain in zip(found, arms, strict=True):
        assert arm.variance / plain.outcome.variance == pytest.approx(0.64, abs=0.03)


def test_merged_sums_are_the_sums_of_merged_leads():
    y, x = np.random.default_rng(1).random((2, 30))
    merged = paired(y[:11], x[:11]) + paired(y[11:], x[11:])
    assert vars(merged) == pytest.approx(vars(paired(y, x)))
