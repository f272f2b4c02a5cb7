"""The published numbers, case by case: through our own functions, or through the library call that
our code makes, so that an upgrade which changes it is noticed."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight, survdiff
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import normal_sample_size_one_tail
from statsmodels.stats.proportion import confint_proportions_2indep, power_proportions_2indep

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.best import believe_shares, rank_means
from pipeline.analysis.comparisons import Arm, PairRule, compare_pair
from pipeline.analysis.incidence import OPEN, count_risk
from pipeline.analysis.planning import Outcome, leads_per_arm
from pipeline.analysis.sample_ratio import check_sample_ratio
from pipeline.analysis.sequential import (
    BoundaryState,
    confidence_interval,
    confidence_multiplier,
    log_evidence,
    next_look,
    spend_obrien_fleming,
)
from pipeline.analysis.shrinkage import shrink
from pipeline.analysis.single_look import lift_interval, plain_interval, plain_p

SURVIVAL = Path(__file__).parent / "survival"


def counted(events, n):
    return ArmStats(n, float(events), float(events))


def boundaries(information, spent):
    state, found = BoundaryState(), []
    for leads, so_far in zip(information, spent, strict=True):
        state = next_look(state, float(leads), float(so_far))
        found.append(state.multiplier)
    return found


# --- cases 1 and 2: two means ----------------------------------------------------------------------

CONTROL = ArmStats(3407, 1396.87, 52377.9767)
TREATED = ArmStats(3461, 2422.7, 134698.29)


def test_1_welch_of_the_gbstats_suite():
    low, high = plain_interval(TREATED, CONTROL)
    found = (TREATED.mean - CONTROL.mean, low, high, plain_p(TREATED, CONTROL))
    assert found == pytest.approx((0.29, 0.04538, 0.53462, 0.02016), abs=6e-6)


def test_1_the_relative_lift_of_the_gbstats_suite():
    low, high = lift_interval(TREATED, CONTROL)
    found = (TREATED.mean / CONTROL.mean - 1, low, high)
    assert found == pytest.approx((0.70732, -0.03526, 1.44989), abs=6e-6)
    # The level at which the interval begins at zero is one minus the p-value.
    touching = optimize.brentq(lambda level: lift_interval(TREATED, CONTROL, level)[0], 0.5, 0.999)
    assert 1 - touching == pytest.approx(0.06191, abs=6e-6)


def test_2a_the_confidence_sequence_of_the_gbstats_suite():
    control, treated = 1396 / 3000, 2422 / 3461
    spread = math.sqrt(
        treated * (1 - treated) / (control**2 * 3461)
        + control * (1 - control) * treated**2 / (control**4 * 3000)
    )
    rate = (-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / 5000
    lift = treated / control - 1
    interval = confidence_interval(lift, spread, confidence_multiplier(6461, rate, 0.05))
    assert (lift, *interval) == pytest.approx((0.50386, 0.40098, 0.60675), abs=6e-6)


def test_2b_the_normal_mixture_of_the_confseq_suite():
    rate = (-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / 100
    found = (
        1 / rate,
        log_evidence(10 / 10, 100, rate),
        10 * confidence_multiplier(100, rate, 0.05),
    )
    assert found == pytest.approx((12.60056, -0.6510052, 30.35209), abs=1e-5)


def test_2c_our_interval_in_closed_form():
    rule = PairRule(alpha=0.05, pair_leads=16_296)
    treated, control = Arm("b", stats=counted(505, 8148)), Arm("a", stats=counted(407, 8148))
    pair = compare_pair(rule, treated, control, "replied", {})
    found = (
        pair.effect,
        pair.evidence["standard_error"],
        pair.evidence["multiplier"],
        pair.interval_low,
        pair.interval_high,
        pair.p_value,
    )
    expected = (
        0.0120274914,
        0.0035999116,
        3.0351224216,
        0.0011013191,
        0.0229536637,
        0.0209597050,
    )
    assert found == pytest.approx(expected, abs=6e-11)


# --- cases 3 and 4: boundaries ---------------------------------------------------------------------


def test_3_lan_demets_boundaries_of_ldbounds():
    fifths = np.arange(1, 6) / 5
    obrien = [spend_obrien_fleming(float(t), 0.05) for t in fifths]
    pocock = 0.05 * np.log(1 + (math.e - 1) * fifths)
    quarters = np.arange(1, 5) / 4
    of_four = [spend_obrien_fleming(float(t), 0.05) for t in quarters]
    for information, spent, expected in (
        (fifths, obrien, (4.8769, 3.3569, 2.6803, 2.2898, 2.0310)),
        (fifths, pocock, (2.4380, 2.4268, 2.4101, 2.3966, 2.3859)),
        (quarters, of_four, (4.3326, 2.9631, 2.3590, 2.0141)),
    ):
        assert boundaries(information, spent) == pytest.approx(expected, abs=3e-4)


def test_4_quadratic_spending_of_the_spotify_suite():
    information = np.array([250, 450, 630, 810]) / 810
    nominal = 2 * stats.norm.sf(boundaries(information, 0.01 * information**2))
    assert nominal == pytest.approx((0.00095, 0.00241, 0.00410, 0.00636), abs=6e-6)


# --- case 5: beliefs -------------------------------------------------------------------------------


def test_5ab_probability_and_loss_by_evan_millers_closed_sum():
    best = rank_means(believe_shares([counted(40, 100), counted(50, 100)]))[1]
    assert tuple(best) == pytest.approx((0.9214262485, 0.0024684467), abs=6e-11)


def test_5c_a_flat_prior_on_the_relative_effect_of_the_gbstats_suite():
    control, treated = 0.49, 0.51
    spread = math.sqrt(
        treated * (1 - treated) / (control**2 * 100)
        + control * (1 - control) * treated**2 / (control**4 * 100)
    )
    lift = treated / control - 1
    better, worse = shrink(lift, spread, math.inf), shrink(-lift, spread, math.inf)
    assert better.effect == lift
    found = (better.probability_better, worse.loss, better.loss)
    assert found == pytest.approx((0.60918, 0.0814, 0.04058), abs=6e-6)


# --- cases 6 and 7: before and beside the test -----------------------------------------------------


def test_6_broken_splits():
    halves = {"a": 0.5, "b": 0.5}
    kohavi = check_sample_ratio({"a": 821_588, "b": 815_482}, halves)
    assert kohavi.p_value == pytest.approx(1.8217929e-6, abs=6e-14)
    ours = check_sample_ratio({"a": 1080, "b": 920}, halves)
    assert ours.p_value == pytest.approx(0.000346619351, abs=6e-13)
    assert ours.log_e == pytest.approx(4.443118219, abs=6e-10)


def test_7_sizes_by_the_arcsine():
    found = [
        leads_per_arm(Outcome(base), target, alpha=0.05, power=0.80)
        for base, target in ((0.20, 0.25), (0.05, 0.06))
    ]
    assert found == pytest.approx([1091.90, 8142.60], abs=6e-3)


def test_7_the_sizes_of_evan_millers_page_and_the_power_of_the_library():
    def miller(p, d):
        null, both = 2 * p * (1 - p), p * (1 - p) + (p + d) * (1 - p - d)
        return normal_sample_size_one_tail(d, 0.8, 0.025, math.sqrt(null), math.sqrt(both))

    assert (miller(0.20, 0.05), miller(0.05, 0.01)) == pytest.approx((1030.2, 7663.0), abs=0.06)
    power = power_proportions_2indep(0.01, 0.05, 8158).power
    assert power == pytest.approx(0.80001, abs=6e-6)
    # Ours, by the arcsine, never promises a smaller test than the page.
    assert leads_per_arm(Outcome(0.20), 0.25, alpha=0.05, power=0.80) > miller(0.20, 0.05)


# --- cases 8 and 9: many hypotheses, differences of shares -----------------------------------------


def test_8_benjamini_and_hochbergs_fifteen():
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
         0.5719, 0.6528, 0.7590, 1.0]  # fmt: skip
    adjusted = stats.false_discovery_control(p)
    assert (adjusted <= 0.05).sum() == 4
    assert multipletests(p, 0.05, "holm")[0].sum() == 3
    assert adjusted[:5] == pytest.approx((0.0015, 0.0030, 0.0095, 0.035625, 0.0603), abs=1e-9)


def test_9_newcombes_example():
    treated, control = counted(56, 70), counted(48, 80)
    assert plain_interval(treated, control) == pytest.approx((0.0524, 0.3339), abs=6e-5)
    wald = confint_proportions_2indep(56, 70, 48, 80, method="wald")
    assert wald == pytest.approx((0.0575, 0.3425), abs=6e-5)


def test_9_we_do_not_use_the_scores_that_statsmodels_gets_wrong():
    # statsmodels#10269: published are .0528 and .3382, the library gives .0526 and .344. When it is
    # mended this fails, and the note in `single_look` can go.
    low, high = confint_proportions_2indep(56, 70, 48, 80, compare="diff", method="score")
    assert (low, high) != pytest.approx((0.0528, 0.3382), abs=6e-4)
    assert plain_interval(counted(56, 70), counted(48, 80))[1] < 0.3382


# --- cases 10 to 13: time to an event --------------------------------------------------------------

DRUG = [(6, 1), (6, 1), (6, 1), (7, 1), (10, 1), (13, 1), (16, 1), (22, 1), (23, 1), (6, 0), (9, 0),
        (10, 0), (11, 0), (17, 0), (19, 0), (20, 0), (25, 0), (32, 0), (32, 0), (34, 0), (35, 0)]  # fmt: skip
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
TIMES = np.array([t for t, _ in DRUG] + PLACEBO, dtype=float)
EVENTS = np.array([e for _, e in DRUG] + [1] * len(PLACEBO))
GROUPS = np.repeat([0.0, 1.0], [len(DRUG), len(PLACEBO)])


def table(name):
    with (SURVIVAL / name).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {column: np.array([float(row[column]) for row in rows]) for column in rows[0]}


def test_10_freireichs_leukaemia_trial():
    curve = SurvfuncRight(TIMES[:21], EVENTS[:21])
    expected = (0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482)
    errors = (0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346)
    assert curve.surv_prob == pytest.approx(expected, abs=6e-5)
    assert curve.surv_prob_se == pytest.approx(errors, abs=6e-5)
    assert curve.quantile(0.5) == 23
    statistic, p_value = survdiff(TIMES, EVENTS, GROUPS)
    assert statistic == pytest.approx(16.7929, abs=6e-5)
    assert p_value == pytest.approx(4.17e-5, abs=6e-8)


def test_10e_the_log_rank_of_r_with_censoring():
    found = survdiff([10, 20, 30, 10, 20, 50], [1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 0])
    assert found == pytest.approx((0.384615, 0.535143), abs=6e-7)


def test_11_cox_with_both_ways_of_ties():
    found = [
        PHReg(TIMES, GROUPS[:, None], status=EVENTS, ties=ties).fit().params[0]
        for ties in ("efron", "breslow")
    ]
    assert found == pytest.approx([1.57213, 1.50919], abs=6e-6)


def test_12_the_lung_cancer_data_of_r():
    lung = table("lung.csv")
    days, died, sex = lung["time"], lung["status"].astype(int), lung["sex"]
    assert survdiff(days, died, sex)[0] == pytest.approx(10.32674, abs=6e-6)
    assert survdiff(days, died, sex)[1] == pytest.approx(0.00131116, abs=6e-9)
    medians = {1: (270, 212, 310), 2: (426, 348, 550)}
    for group, (median, low, high) in medians.items():
        curve = SurvfuncRight(days[sex == group], died[sex == group])
        assert curve.quantile(0.5) == median
        assert curve.quantile_ci(0.5, method="log") == (low, high)
    fit = PHReg(days, sex[:, None], status=died, ties="efron").fit()
    assert (fit.params[0], fit.bse[0]) == pytest.approx((-0.531024, 0.167179), abs=6e-7)


def test_12_restricted_means_of_r():
    lung = table("lung.csv")
    women, men = (lung["sex"] == 2, lung["sex"] == 1)
    for times, events, horizon, expected in (
        (TIMES[:21], EVENTS[:21], 20, (16.11653, 1.25156)),
        (TIMES[21:], EVENTS[21:], 20, (8.42857, 1.26808)),
        (lung["time"][men], lung["status"][men], 1022, (326.0841, 22.91156)),
        (lung["time"][women], lung["status"][women], 1022, (460.6473, 34.68985)),
    ):
        risk = count_risk(times, ["died" if event else OPEN for event in events])
        assert risk.restricted_mean(horizon, "died") == pytest.approx(expected, abs=6e-5)


def test_12_rossis_recidivism_data_of_r():
    rossi = table("rossi.csv")
    columns = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]
    covariates = np.column_stack([rossi[name] for name in columns])
    fit = PHReg(rossi["week"], covariates, status=rossi["arrest"], ties="efron").fit()
    expected = (-0.3794, -0.0574, 0.3139, -0.1498, -0.4337, -0.0849, 0.0915)
    assert fit.params == pytest.approx(expected, abs=6e-5)


def test_13_competing_risks_of_cmprsk_and_stata():
    times = [1, 1, 2, 4, 4, 4, 6, 6, 7, 8, 9, 9, 9, 1, 2, 2, 4, 4]
    causes = [1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    risk = count_risk(times, [str(cause) if cause else OPEN for cause in causes])
    shares = [risk.shares(cause)[0] for cause in "123"]
    assert [float(share[-1]) for share in shares] == pytest.approx(
        [0.17037, 0.20741, 0.26667], abs=6e-6
    )
    found = CumIncidenceRight(np.array(times), np.array(causes))
    assert found.cinc[0][:2] == pytest.approx((0.11111, 0.17037), abs=6e-6)
    assert found.cinc[1][3] == pytest.approx(0.20741, abs=6e-6)
    assert found.cinc[2][[3, 4]] == pytest.approx((0.17778, 0.26667), abs=6e-6)
    assert found.cinc_se[0][:2] == pytest.approx((0.07407, 0.08976), abs=6e-6)
    assert found.cinc_se[1][3] == pytest.approx(0.10610, abs=6e-6)
    assert found.cinc_se[2][[3, 4]] == pytest.approx((0.11196, 0.12788), abs=6e-6)


# --- cases 14 to 16 --------------------------------------------------------------------------------


def test_14_mantel_and_haenszel_over_berkeleys_departments():
    departments = [
        [[512, 313], [89, 19]], [[353, 207], [17, 8]], [[120, 205], [202, 391]],
        [[138, 279], [131, 244]], [[53, 138], [94, 299]], [[22, 351], [24, 317]],
    ]  # fmt: skip
    pooled = StratifiedTable([np.array(one, dtype=float) for one in departments])
    found = (pooled.oddsratio_pooled, *pooled.oddsratio_pooled_confint())
    assert found == pytest.approx((0.9046968, 0.7719074, 1.0603298), abs=6e-8)
    tested = pooled.test_null_odds(correction=True)
    assert (tested.statistic, tested.pvalue) == pytest.approx((1.4269, 0.2323), abs=6e-5)


def test_15_exact_tests_of_the_scipy_manual():
    assert stats.fisher_exact([[8, 2], [1, 5]]).pvalue == pytest.approx(0.034965, abs=6e-7)
    boschloo = stats.boschloo_exact([[74, 31], [43, 32]], alternative="greater").pvalue
    assert boschloo == pytest.approx(0.03556, abs=6e-6)
    drug = ([9.76, 8.80, 7.68, 9.36], [12.80, 9.68, 12.16, 9.20, 10.55])
    control = [7.40, 8.50, 7.20, 8.24, 9.84, 8.32]
    dunnett = stats.dunnett(*drug, control=control, rng=np.random.default_rng(0)).pvalue
    assert dunnett == pytest.approx((0.620, 0.0059), abs=6e-4)


def test_15_small_counts_are_compared_exactly():
    few = plain_p(counted(8, 10), counted(2, 6))
    assert few == pytest.approx(stats.boschloo_exact([[8, 2], [2, 4]]).pvalue)
    rare = plain_p(counted(9, 4000), counted(1, 4000))
    assert rare == pytest.approx(stats.fisher_exact([[9, 1], [3991, 3999]]).pvalue)


def test_16_efron_and_morriss_batting_averages():
    averages = np.array([0.400, 0.378, 0.356, 0.333, 0.311, 0.311, 0.289, 0.267, 0.244, 0.244,
                         0.222, 0.222, 0.222, 0.222, 0.222, 0.200, 0.178, 0.156])  # fmt: skip
    mean = averages.mean()
    noise = mean * (1 - mean) / 45
    factor = 1 - (len(averages) - 3) * noise / np.sum((averages - mean) ** 2)
    assert factor == pytest.approx(0.2124, abs=6e-5)
    spread = math.sqrt(noise * factor / (1 - factor))
    shown = [mean + shrink(y - mean, math.sqrt(noise), spread).effect for y in (0.400, 0.156)]
    assert shown == pytest.approx([0.2940, 0.2422], abs=6e-5)
