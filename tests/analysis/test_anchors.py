"""Our numbers beside those of gbstats and spotify-confidence on the same sums.

They are equal where they are right; the last part shows where they are not, and that ours are. The
table in docs/statistics.md says the same in words.
"""

import importlib
import math
import sys
from importlib.metadata import distribution
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from gbstats.frequentist.tests import (
    FrequentistConfig,
    SequentialConfig,
    SequentialTwoSidedTTest,
    TwoSidedTTest,
)
from gbstats.models.statistics import (
    ProportionStatistic,
    RatioStatistic,
    RegressionAdjustedStatistic,
    SampleMeanStatistic,
    compute_theta,
)
from gbstats.utils import check_srm
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.analysis.adjustment import PairedSums, adjust_for_covariate, ratio_of_sums
from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.pairs import PairRule, take_looks
from pipeline.analysis.sample_ratio import check_sample_ratio
from pipeline.analysis.sequential import (
    BoundaryState,
    confidence_multiplier,
    log_evidence,
    next_look,
    tuning_rate,
)
from pipeline.analysis.single_look import lift_interval, plain_interval, plain_p

# What every comparison takes: a share of leads, or an amount per lead.
SHARES = [
    pytest.param((250, 5000), (350, 5000), id="five and seven per cent"),
    pytest.param((407, 8148), (505, 8148), id="the golden pair"),
    pytest.param((31, 3000), (64, 4500), id="rare, unequal arms"),
    pytest.param((1396, 3000), (2422, 3461), id="common"),
]
AMOUNTS = [
    pytest.param((3407, 1396.87, 52377.9767), (3461, 2422.7, 134698.29), id="the golden pair"),
    pytest.param((900, 41.5, 300.25), (350, 39.75, 410.5), id="small, unequal arms"),
]


def share(count, n):
    return ArmStats(n, float(count), float(count))


def look(arm, baseline, pair_leads=5000.0):
    """Our look at one pair in open mode, as plain numbers."""
    rule = PairRule(*(np.array([value]) for value in (0.05, pair_leads, False, 0.0, 0.1)))
    looks = take_looks(rule, ArmStats.columns([arm]), ArmStats.columns([baseline]))
    names = ("effect", "standard_error", "z", "interval_low", "interval_high", "p_value")
    return SimpleNamespace(**{name: float(getattr(looks, name)[0]) for name in names})


def statistic(arm):
    """Our sums as gbstats has them."""
    if arm.is_binary:
        return ProportionStatistic(n=arm.n, sum=arm.sum)
    return SampleMeanStatistic(n=arm.n, sum=arm.sum, sum_squares=arm.sum_squares)


def absolute(baseline, arm):
    return TwoSidedTTest(baseline, arm, FrequentistConfig(difference_type="absolute"))


@pytest.fixture(scope="module")
def spotify():
    """The computing modules of spotify-confidence.

    Its front door imports plotting and notebook packages, and its frames want pandas 2; the numbers
    are made behind both.
    """
    package = ModuleType("spotify_confidence")
    package.__path__ = [str(distribution("spotify-confidence").locate_file("spotify_confidence"))]
    sys.modules["spotify_confidence"] = package
    inside = "spotify_confidence.analysis.frequentist"
    names = ("z_test", "t_test", "chi_squared", "z_test_linreg")
    found = {name: f"{inside}.confidence_computers.{name}_computer" for name in names}
    found["ratio"] = f"{inside}.sample_ratio_test"
    return SimpleNamespace(**{name: importlib.import_module(path) for name, path in found.items()})


@pytest.fixture
def spotify_bounds(spotify, monkeypatch):
    """Its two-sided group-sequential bounds at 5 %, by the part of the plan at each look."""
    by_label = pd.Series.__getitem__

    def by_label_or_place(series, key):
        # It asks for the first of some labelled values as [0], which pandas 3 does not answer.
        return (
            series.iloc[0]
            if isinstance(key, int) and key not in series.index
            else by_label(series, key)
        )

    monkeypatch.setattr(pd.Series, "__getitem__", by_label_or_place)
    return lambda fractions: list(
        spotify.z_test.sequential_bounds(np.array(fractions), 0.05, 2).bounds
    )


COLUMNS = {
    "numerator": "sum",
    "numerator_sum_of_squares": "squares",
    "denominator": "n",
    "feature": "x",
    "feature_sumsq": "xx",
    "feature_cross": "xy",
}


def told_by(computer, baseline, arm, **more):
    """What one of spotify's computers says of arm less baseline, step by step as its classes do."""
    frame = pd.DataFrame(
        {
            "sum": [baseline.sum, arm.sum],
            "squares": [baseline.sum_squares, arm.sum_squares],
            "n": [baseline.n, arm.n],
            **more,
        }
    )
    frame["original_point_estimate"] = frame["sum"] / frame["n"]
    frame["point_estimate"] = computer.point_estimate(frame, **COLUMNS)
    frame["variance"] = computer.variance(frame, **COLUMNS)
    one = frame.iloc[[0]].reset_index(drop=True).add_suffix("_1")
    pair = one.join(frame.iloc[[1]].reset_index(drop=True).add_suffix("_2"))
    pair["difference"] = pair["point_estimate_2"] - pair["point_estimate_1"]
    pair["std_err"] = computer.std_err(pair, **COLUMNS)
    pair["preference_used_in_test"] = "two-sided"
    pair["null_hypothesis"] = 0.0
    pair["alpha"] = 0.05
    low, high = computer.ci(pair, "alpha", **COLUMNS)
    return SimpleNamespace(
        effect=pair["difference"][0],
        standard_error=pair["std_err"][0],
        variances=frame["variance"].tolist(),
        interval=(low[0], high[0]),
        p_value=np.ravel(computer.p_value(pair, **COLUMNS))[0],
    )


# --- equal -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b"), SHARES)
def test_effect_and_standard_error_of_shares_are_those_of_both(spotify, a, b):
    baseline, arm = share(*a), share(*b)
    ours = look(arm, baseline)
    theirs = absolute(statistic(baseline), statistic(arm))
    assert ours.effect == pytest.approx(theirs.point_estimate, rel=1e-12)
    assert ours.standard_error == pytest.approx(math.sqrt(theirs.variance), rel=1e-12)
    other = told_by(spotify.z_test, baseline, arm)
    assert (ours.effect, ours.standard_error) == pytest.approx(
        (other.effect, other.standard_error), rel=1e-12
    )


@pytest.mark.parametrize(("a", "b"), SHARES)
def test_one_look_at_shares_is_the_chi_square_test_of_spotify(spotify, a, b):
    baseline, arm = share(*a), share(*b)
    assert plain_p(arm, baseline) == pytest.approx(
        told_by(spotify.chi_squared, baseline, arm).p_value, rel=1e-9
    )


@pytest.mark.parametrize(("a", "b"), AMOUNTS)
def test_one_look_at_amounts_is_the_welch_test_of_both(spotify, a, b):
    baseline, arm = ArmStats(*a), ArmStats(*b)
    theirs = absolute(statistic(baseline), statistic(arm)).compute_result()
    other = told_by(spotify.t_test, baseline, arm)
    for interval, p_value in ((theirs.ci, theirs.p_value), (other.interval, other.p_value)):
        assert plain_interval(arm, baseline) == pytest.approx(tuple(interval), rel=1e-9)
        assert plain_p(arm, baseline) == pytest.approx(p_value, rel=1e-9)
    relative = TwoSidedTTest(statistic(baseline), statistic(arm)).compute_result()
    assert lift_interval(arm, baseline) == pytest.approx(tuple(relative.ci), rel=1e-9)


@pytest.mark.parametrize(("a", "b"), [*SHARES, *AMOUNTS])
def test_with_the_tuning_of_gbstats_the_always_valid_interval_and_p_are_those_of_gbstats(a, b):
    baseline, arm = (share(*x) if len(x) == 2 else ArmStats(*x) for x in (a, b))
    config = SequentialConfig(difference_type="absolute")
    test = SequentialTwoSidedTTest(statistic(baseline), statistic(arm), config)
    theirs = test.compute_result()
    n, error = arm.n + baseline.n, math.sqrt(test.variance)
    effect = arm.mean - baseline.mean
    half = confidence_multiplier(n, test.rho**2, 0.05) * error
    assert theirs.ci == pytest.approx([effect - half, effect + half], rel=1e-12)
    log_e = log_evidence(effect / error, n, test.rho**2)
    assert theirs.p_value == pytest.approx(min(1.0, math.exp(-log_e)), rel=1e-9)


@pytest.mark.parametrize("fractions", [(0.31, 0.56, 0.78, 1.0), tuple(np.arange(1, 15) / 14)])
def test_the_recursion_gives_the_group_sequential_bounds_of_spotify(spotify_bounds, fractions):
    expected = spotify_bounds(fractions)
    state, found = BoundaryState(), []
    for fraction in fractions:
        # Its spending is α t², fixed in its code.
        state = next_look(state, 10_000 * fraction, 0.05 * fraction**2)
        found.append(state.multiplier)
    assert found == pytest.approx(expected, abs=3e-4)


@given(
    st.lists(st.integers(20, 3000), min_size=2, max_size=5),
    st.lists(st.floats(0.1, 1), min_size=5, max_size=5),
)
@settings(max_examples=25)
def test_the_p_value_of_a_split_is_that_of_gbstats(counts, weights):
    weights = weights[: len(counts)]
    shares = dict(zip("abcde", (weight / sum(weights) for weight in weights), strict=False))
    ours = check_sample_ratio(dict(zip("abcde", counts, strict=False)), shares)
    assume(len(ours.expected) == len(counts))
    assert ours.p_value == pytest.approx(check_srm(counts, weights), rel=1e-6, abs=1e-300)


def test_the_p_value_of_a_split_is_that_of_spotify(spotify):
    frame = pd.DataFrame({"arm": ["a", "b", "c"], "n": [1080, 920, 1010]})
    shares = dict.fromkeys("abc", 1 / 3)
    p_value, _ = spotify.ratio.sample_ratio_test(frame, "arm", "n", shares)
    counts = dict(zip(frame["arm"], frame["n"].tolist(), strict=True))
    assert check_sample_ratio(counts, shares).p_value == pytest.approx(p_value, rel=1e-9)


def paired(rng, n, lift=0.0, shift=0.0):
    """An outcome that a covariate explains by half; lift and shift move the two."""
    x = rng.normal(1 + shift, 1, n)
    y = 0.5 * x + rng.normal(lift, 0.5, n)
    return PairedSums(n, y.sum(), (y * y).sum(), x.sum(), (x * x).sum(), (x * y).sum())


def balanced(arm, mean):
    """The same sums with the covariate moved to this mean, and the outcome with it."""
    move = mean - arm.x / arm.n
    return PairedSums(
        arm.n,
        arm.y,
        arm.yy,
        arm.x + arm.n * move,
        arm.xx + 2 * move * arm.x + arm.n * move**2,
        arm.xy + move * arm.y,
    )


def gbstats_cuped(baseline, arm):
    def adjusted(sums, theta):
        post = SampleMeanStatistic(n=sums.n, sum=sums.y, sum_squares=sums.yy)
        pre = SampleMeanStatistic(n=sums.n, sum=sums.x, sum_squares=sums.xx)
        return RegressionAdjustedStatistic(
            n=sums.n,
            post_statistic=post,
            pre_statistic=pre,
            post_pre_sum_of_products=sums.xy,
            theta=theta,
        )

    theta = compute_theta(adjusted(baseline, 0), adjusted(arm, 0))
    return absolute(adjusted(baseline, theta), adjusted(arm, theta))


def spotify_cuped(spotify, baseline, arm):
    more = {
        name: np.array([getattr(baseline, name), getattr(arm, name)]) for name in ("x", "xx", "xy")
    }
    return told_by(spotify.z_test_linreg, baseline.outcome, arm.outcome, **more)


def test_with_a_covariate_alike_in_both_arms_all_three_adjust_alike(spotify):
    rng = np.random.default_rng(7)
    baseline = balanced(paired(rng, 4000), 1.0)
    arm = balanced(paired(rng, 5000, lift=0.1), 1.0)
    ours = adjust_for_covariate([baseline, arm])
    effect = ours[1].mean - ours[0].mean
    theirs, other = gbstats_cuped(baseline, arm), spotify_cuped(spotify, baseline, arm)
    assert (theirs.point_estimate, other.effect) == pytest.approx((effect, effect), rel=1e-9)
    variances = [stats.variance for stats in ours]
    assert [each.variance for each in (theirs.stat_a, theirs.stat_b)] == pytest.approx(
        [v * n / (n - 1) for v, n in zip(variances, (4000, 5000), strict=True)], rel=1e-9
    )
    # It divides by n − 1 in the outcome's part and by n in the covariate's.
    assert other.variances == pytest.approx(variances, rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_a_ratio_over_clusters_has_the_variance_of_gbstats(seed):
    rng = np.random.default_rng(seed)
    groups = 60 + 40 * seed
    size = rng.geometric(0.3, groups).astype(float)
    y = rng.binomial(size.astype(int), 0.1).astype(float)
    sums = PairedSums(groups, y.sum(), (y * y).sum(), size.sum(), (size**2).sum(), (size * y).sum())
    theirs = RatioStatistic(
        n=groups,
        m_statistic=SampleMeanStatistic(n=groups, sum=sums.y, sum_squares=sums.yy),
        d_statistic=SampleMeanStatistic(n=groups, sum=sums.x, sum_squares=sums.xx),
        m_d_sum_of_products=sums.xy,
    )
    ours = ratio_of_sums(sums)
    assert ours.mean == pytest.approx(theirs.mean, rel=1e-12)
    assert ours.variance * groups / (groups - 1) == pytest.approx(theirs.variance, rel=1e-9)


# --- different, and why ----------------------------------------------------------------------------


def test_our_tuning_is_exact_and_narrowest_where_it_is_meant_to_be():
    for n in (500, 5000, 16_296):
        approximate = (-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / n
        exact = confidence_multiplier(n, tuning_rate(n, 0.05), 0.05)
        assert exact < confidence_multiplier(n, approximate, 0.05) < 1.002 * exact
        for other in (0.9, 1.1):
            assert exact < confidence_multiplier(n, other * tuning_rate(n, 0.05), 0.05)


def test_the_relative_sequential_interval_of_gbstats_claims_harm_where_nothing_differs():
    """Equal arms at 1 %, 14 looks: its default says "worse" in 10 %, ours in none to speak of."""
    rng, tests, days, per_day = np.random.default_rng(6), 250, 14, 200
    n = per_day * np.arange(1, days + 1)
    counts = rng.binomial(per_day, 0.01, (2, tests, days)).cumsum(axis=2)
    claims = {"relative": 0, "absolute": 0}
    for a, b in zip(*counts, strict=True):
        for kind in claims:
            config = SequentialConfig(difference_type=kind)
            results = (
                SequentialTwoSidedTTest(
                    ProportionStatistic(n=int(size), sum=int(x)),
                    ProportionStatistic(n=int(size), sum=int(y)),
                    config,
                ).compute_result()
                for size, x, y in zip(n, a, b, strict=True)
                if x and y
            )
            claims[kind] += any(result.ci[1] < 0 or result.ci[0] > 0 for result in results)
    assert claims["relative"] / tests > 0.07
    assert claims["absolute"] / tests < 0.03
    sides = [ArmStats(np.tile(n, tests), *2 * [c.ravel().astype(float)]) for c in counts]
    width = tests * days
    rule = PairRule(*(np.full(width, value) for value in (0.05, 5000.0, False, 0.0, 0.1)))
    ours = take_looks(rule, *sides).is_decisive.reshape(tests, days).any(axis=1)
    assert ours.mean() < 0.03


def test_an_arm_without_a_share_is_no_group_of_the_split():
    # gbstats counts its degree of freedom all the same, and misses the alarm at .001.
    ours = check_sample_ratio({"a": 1080, "b": 920, "c": 0}, {"a": 0.5, "b": 0.5, "c": 0.0})
    assert ours.p_value == pytest.approx(0.000346619351, abs=1e-12)
    assert ours.is_alarm
    assert check_srm([1080, 920, 0], [0.5, 0.5, 0.0]) == pytest.approx(0.00166, abs=1e-5)


def test_the_interval_of_shares_never_leaves_what_is_possible(spotify):
    baseline, arm = share(0, 40), share(1, 40)
    low, high = plain_interval(arm, baseline)
    assert -1 <= low < 0 < high
    assert absolute(statistic(baseline), statistic(arm)).compute_result().error_message
    # Newcombe 1998, 56 of 70 and 48 of 80; the others are Wald's.
    published = plain_interval(share(56, 70), share(48, 80))
    assert published == pytest.approx((0.0524, 0.3339), abs=6e-5)
    wald = told_by(spotify.z_test, share(48, 80), share(56, 70)).interval
    assert wald == pytest.approx((0.0575, 0.3425), abs=6e-5)


def test_a_slope_within_arms_does_not_take_an_effect_for_the_covariate(spotify):
    """The arms differ in both numbers: a slope over all leads sees an effect in the covariate."""
    rng = np.random.default_rng(3)
    baseline, arm = paired(rng, 20_000), paired(rng, 20_000, lift=1.0, shift=0.2)
    ours = adjust_for_covariate([baseline, arm])
    assert ours[1].mean - ours[0].mean == pytest.approx(1.0, abs=0.02)
    joint = gbstats_cuped(baseline, arm).point_estimate
    assert joint < 0.99
    assert spotify_cuped(spotify, baseline, arm).effect == pytest.approx(joint, rel=1e-6)


def test_a_plan_that_is_overrun_leaves_spotify_without_error_to_spend(spotify_bounds):
    # With twice the planned leads its fractions are scaled anew, and past bounds no longer hold.
    planned = spotify_bounds([0.25, 0.5, 0.75, 1.0])
    overrun = spotify_bounds([0.125, 0.25, 0.375, 0.5, 1.0])
    assert all(later > before + 0.2 for later, before in zip(overrun, planned, strict=False))
    # Ours are stored, and what comes after the plan has an error of its own.
    state = BoundaryState()
    for fraction in (0.25, 0.5, 0.75, 1.0):
        state = next_look(state, 10_000 * fraction, 0.04 * fraction**2)
    assert next_look(state, 20_000, 0.04).multiplier == math.inf
    assert confidence_multiplier(20_000, tuning_rate(20_000, 0.01), 0.01) < 4
