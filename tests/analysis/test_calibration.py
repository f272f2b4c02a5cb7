"""Do the decisions keep their promises on drawn data whose truth is known? (statistics.md 3)

Many tests are drawn at once; each is then judged by our own functions, one look after the other.
Targets are those of a reader, with two errors of the draw. `make calibrate` writes what they find to
docs/calibration.md.
"""

import math

import numpy as np
import pytest

from pipeline.analysis.adjustment import PairedSums, adjust_for_covariate, ratio_of_sums
from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.comparisons import Arm, PairRule, compare_pair
from pipeline.analysis.sequential import (
    BoundaryState,
    confidence_multiplier,
    next_look,
    spend_obrien_fleming,
    tuning_rate,
)
from pipeline.analysis.shrinkage import learn_prior, rank_arms, shrink
from pipeline.analysis.single_look import plain_p
from tests.analysis.conftest import LOOKS, OTHERS, POWER, STOPPED

pytestmark = pytest.mark.slow

DAYS = 28


def two_errors(rate, tests):
    return 2 * math.sqrt(rate * (1 - rate) / tests)


def multipliers(mode, leads, planned, alpha=0.05):
    """Our boundary at every look of a pair, once for all drawn tests: it does not depend on data."""
    found, state = [], BoundaryState()
    for n in leads:
        if mode == "open":
            found.append(confidence_multiplier(n, tuning_rate(planned, alpha), alpha))
            continue
        state = next_look(state, float(n), spend_obrien_fleming(n / planned, 0.8 * alpha))
        rate = tuning_rate(2 * planned, 0.2 * alpha)
        found.append(min(state.multiplier, confidence_multiplier(n, rate, 0.2 * alpha)))
    return np.array(found)


def drawn(rng, rates, per_day, tests, days=DAYS):
    """Cumulative outcomes of two arms by day, for many tests at once."""
    return [rng.binomial(per_day, rate, (tests, days)).cumsum(axis=1) for rate in rates]


def scores(a, b, n):
    """Difference, standard error and whether both arms are burned in."""
    p, q = a / n, b / n
    error = np.sqrt((p * (1 - p) + q * (1 - q)) / n)
    few = np.minimum(np.minimum(a, b), np.minimum(n - a, n - b)) < 10
    return q - p, np.where(error > 0, error, np.inf), ~few & (n >= 100)


def decided(rng, rates, mode, per_day, tests, days=DAYS, plan_days=DAYS):
    """Return effect, error and day of the decision, or of the last day; and whether decided."""
    a, b = drawn(rng, rates, per_day, tests, days)
    n = per_day * np.arange(1, days + 1)
    boundary = multipliers(mode, 2 * n, 2 * per_day * plan_days)
    effect, error, ready = scores(a, b, n)
    hit = ready & (np.abs(effect / error) > boundary)
    day = np.where(hit.any(axis=1), hit.argmax(axis=1), days - 1)
    at = np.arange(tests), day
    return effect[at], error[at], day, hit.any(axis=1), boundary[day]


def test_the_fast_boundaries_are_those_of_the_comparisons():
    """The drawn tests below are judged by the very numbers that a comparison of ours uses."""
    rng = np.random.default_rng(1)
    a, b = (x[0] for x in drawn(rng, (0.1, 0.11), 200, 1, 6))
    n = 200 * np.arange(1, 7)
    for mode in ("open", "planned"):
        expected = multipliers(mode, 2 * n, 4000)
        evidence = {}
        for day in range(6):
            rule = PairRule(0.05, 4000, mode == "planned", 2 * n[day] / 4000)
            arms = [
                Arm(name, stats=ArmStats(int(n[day]), float(x), float(x)))
                for name, x in (("b", b[day]), ("a", a[day]))
            ]
            evidence = compare_pair(rule, *arms, "replied", evidence).evidence
            assert evidence["multiplier"] == pytest.approx(expected[day])
        effect, error, _ = scores(a, b, n)
        assert evidence["z"] == pytest.approx((effect / error)[-1])


@pytest.mark.parametrize("mode", ["open", "planned"])
@pytest.mark.parametrize("rate", [0.005, 0.02, 0.1, 0.4])
def test_equal_arms_get_a_winner_in_at_most_five_per_cent(calibration, mode, rate):
    tests = 20_000 * calibration.times
    *_, found, _ = decided(np.random.default_rng(2), (rate, rate), mode, 100, tests)
    question = f"{mode} mode, rate {100 * rate:g} %"
    calibration.note(LOOKS, question, found.mean(), "≤ 5 %", draws=tests, seed=2)
    assert found.mean() <= 0.05 + two_errors(0.05, tests)


def test_equal_arms_stay_equal_when_twice_the_plan_arrives(calibration):
    tests = 20_000 * calibration.times
    *_, found, _ = decided(np.random.default_rng(3), (0.05, 0.05), "planned", 100, tests, 56)
    question = "planned mode, rate 5 %, twice the plan arrives in 56 days"
    calibration.note(LOOKS, question, found.mean(), "≤ 5 %", draws=tests, seed=3)
    assert found.mean() <= 0.05 + two_errors(0.05, tests)


@pytest.mark.parametrize(
    ("mode", "rates", "per_day", "days", "least"),
    [
        pytest.param("planned", (0.05, 0.06), 291, 28, 0.74, id="planned, five to six"),
        pytest.param("planned", (0.01, 0.015), 277, 28, 0.74, id="planned, one to one and a half"),
        pytest.param("planned", (0.40, 0.44), 85, 28, 0.74, id="planned, forty to forty-four"),
        pytest.param("planned", (0.05, 0.06), 291, 56, 0.82, id="planned, twice as many come"),
        pytest.param("open", (0.05, 0.06), 291, 28, 0.48, id="open"),
    ],
)
def test_a_real_difference_is_found_as_often_as_promised(
    calibration, mode, rates, per_day, days, least
):
    tests = 8000 * calibration.times
    effect, _, day, found, _ = decided(np.random.default_rng(5), rates, mode, per_day, tests, days)
    right = (found & (effect > 0)).mean()
    used = ((day + 1) / DAYS).mean()
    question = f"{mode} mode, {100 * rates[0]:g} to {100 * rates[1]:g} %"
    if days > DAYS:
        question += ", twice the plan arrives"
    calibration.note(
        POWER, f"{question}: found", right, f"≥ {100 * least:g} %", draws=tests, seed=5
    )
    calibration.note(
        POWER,
        f"{question}: part of the plan",
        used,
        "≤ 80 %" if mode == "planned" and days == DAYS else "–",
        draws=tests,
        seed=5,
    )
    assert right >= least - two_errors(least, tests)
    if mode == "planned" and days == DAYS:
        assert used <= 0.80


def test_after_stopping_intervals_cover_and_the_honest_effect_is_honest(calibration):
    """A programme of tests whose true lifts spread by a tenth; the prior is learned from fifty."""
    rng = np.random.default_rng(14)
    tests, base = 12_000, 0.05
    lifts = rng.normal(0, 0.1, tests)
    a = rng.binomial(200, base, (tests, DAYS)).cumsum(axis=1)
    b = rng.binomial(200, (base * (1 + lifts))[:, None], (tests, DAYS)).cumsum(axis=1)
    n = 200 * np.arange(1, DAYS + 1)
    boundary = multipliers("planned", 2 * n, 2 * 200 * DAYS)
    effect, error, ready = scores(a, b, n)
    hit = ready & (np.abs(effect / error) > boundary)
    day = np.where(hit.any(axis=1), hit.argmax(axis=1), DAYS - 1)
    at = np.arange(tests), day
    effect, error, won, truth = effect[at], error[at], hit.any(axis=1), base * lifts
    reach = boundary[day] * error
    covered = (np.abs(effect - truth) <= reach)[won].mean()
    assert covered >= 0.95 - two_errors(0.95, won.sum())
    turned = (effect * truth < 0)[won].mean()

    rates = ((a + b)[at] / n[day] / 2)[won]
    signs = np.sign(effect[won])
    true_lift = (signs * truth[won]).mean() / base
    raw_lift = (signs * effect[won]).mean() / base
    claims = []
    for start in range(0, 50 * 40, 50):
        part = slice(start, start + 50)
        unit = ((a + b)[at] / n[day] / 2)[part]
        prior = learn_prior((effect[part] / unit).tolist(), (error[part] / unit).tolist())
        shown = [
            shrink(d, s, prior.spread * rate).effect
            for d, s, rate in zip(effect[won][:300], error[won][:300], rates[:300], strict=True)
        ]
        claims.append(np.mean(signs[:300] * np.array(shown)) / base)
    assert raw_lift > 1.6 * true_lift
    true_of_shown = (signs[:300] * truth[won][:300]).mean() / base
    spread = (signs[:300] * (truth[won][:300])).std() / base / math.sqrt(300)
    for question, measured, target in (
        ("the shown interval covers the truth", covered, "≥ 95 %"),
        ("the winner is in truth the worse arm", turned, "–"),
        ("measured lift of winners", raw_lift, "–"),
        ("their true lift", true_lift, "–"),
        ("honest lift of the first 300 winners, prior of 50 tests", np.mean(claims), "true ± 10 %"),
        ("their true lift (300)", true_of_shown, "–"),
    ):
        calibration.note(STOPPED, question, measured, target, draws=tests, seed=14)
    assert np.mean(claims) == pytest.approx(true_of_shown, rel=0.10, abs=2 * spread)


def test_the_probability_to_be_best_is_right_as_often_as_it_says(calibration):
    """Three arms, lifts spread as the prior says, looked at every day until one is 95 % sure."""
    rng = np.random.default_rng(15)
    said, right = [], []
    tests = 600 * calibration.times
    for _ in range(tests):
        rates = 0.1 * (1 + rng.normal(0, 0.1 / math.sqrt(2), 3))
        x = rng.binomial(300, rates, (14, 3)).cumsum(axis=0)
        for day in range(14):
            n = 300 * (day + 1)
            arms = [ArmStats(n, float(count), float(count)) for count in x[day]]
            best = rank_arms(arms, 0.1 * float(np.mean([arm.mean for arm in arms])))
            sure = max(range(3), key=lambda ix: best[ix].probability)
            if best[sure].probability > 0.9 or day == 13:
                said.append(best[sure].probability)
                right.append(sure == int(np.argmax(rates)))
                break
    target = f"{100 * np.mean(said):.1f} %, as it says"
    calibration.note(
        STOPPED,
        "three arms: the one that is probably best is best",
        np.mean(right),
        target,
        draws=tests,
        seed=15,
    )
    assert np.mean(right) == pytest.approx(np.mean(said), abs=two_errors(0.8, len(said)) + 0.01)


@pytest.mark.parametrize(("sigma", "n"), [(1.0, 500), (1.0, 8000), (2.0, 500), (2.0, 8000)])
def test_revenue_is_judged_by_its_difference(calibration, sigma, n):
    """Two in a hundred buy, amounts have heavy tails; capped as the history before suggests."""
    rng = np.random.default_rng(9)
    tests = 800 * calibration.times
    cap = np.exp(np.log(300) - sigma**2 / 2 + 2.326 * sigma)
    wrong = {"raw": 0, "capped": 0}
    for _ in range(tests):
        arms = []
        for _ in range(2):
            amounts = rng.lognormal(np.log(300) - sigma**2 / 2, sigma, rng.binomial(n, 0.02))
            arms.append(amounts)
        for name, kept in (("raw", arms), ("capped", [np.minimum(x, cap) for x in arms])):
            sums = [ArmStats(n, float(x.sum()), float((x**2).sum())) for x in kept]
            wrong[name] += plain_p(*sums) < 0.05
    for name, count in wrong.items():
        question = f"{name} revenue, σ {sigma:g}, {n:,} leads an arm, equal arms: told apart"
        calibration.note(OTHERS, question, count / tests, "≤ 6 %", draws=tests, seed=9)
        assert count / tests <= 0.06 + two_errors(0.06, tests)


@pytest.mark.parametrize("correlation", [0.05, 0.15])
def test_accounts_drawn_as_a_whole_are_judged_as_a_whole(calibration, correlation):
    rng = np.random.default_rng(101)
    tests, wrong, by_lead = 1500 * calibration.times, 0, 0
    shape = 1 / correlation - 1
    for _ in range(tests):
        sums, leads = [], []
        for _ in range(2):
            size = rng.geometric(0.28, 400).clip(1, 12).astype(float)
            y = rng.binomial(size.astype(int), rng.beta(0.05 * shape, 0.95 * shape, 400))
            paired = PairedSums(
                400, y.sum(), (y * y).sum(), size.sum(), (size**2).sum(), (size * y).sum()
            )
            sums.append(ratio_of_sums(paired))
            leads.append(ArmStats(int(size.sum()), float(y.sum()), float(y.sum())))
        wrong += plain_p(*sums) < 0.05
        by_lead += plain_p(*leads) < 0.05
    question = f"drawn by account, correlation {correlation:g}, equal arms: told apart"
    calibration.note(OTHERS, question, wrong / tests, "≤ 6 %", draws=tests, seed=101)
    assert wrong / tests <= 0.06 + two_errors(0.06, tests)
    assert by_lead > wrong


@pytest.mark.parametrize("correlation", [0.1, 0.5])
def test_a_covariate_names_no_more_false_differences(calibration, correlation):
    rng = np.random.default_rng(31)
    tests, n, wrong = 1500 * calibration.times, 1000, 0
    kept = []
    for _ in range(tests):
        x = rng.normal(size=(2, n))
        hidden = correlation * x + math.sqrt(1 - correlation**2) * rng.normal(size=(2, n))
        y = (hidden > 1.6449).astype(float)
        arms = [
            PairedSums(
                n, y[ix].sum(), y[ix].sum(), x[ix].sum(), (x[ix] ** 2).sum(), (x[ix] * y[ix]).sum()
            )
            for ix in range(2)
        ]
        adjusted = adjust_for_covariate(arms)
        wrong += plain_p(*adjusted) < 0.05
        kept.append(adjusted[0].variance / arms[0].outcome.variance)
    question = f"covariate, latent correlation {correlation:g}, equal arms: told apart"
    calibration.note(OTHERS, question, wrong / tests, "≤ 6 %", draws=tests, seed=31)
    assert wrong / tests <= 0.06 + two_errors(0.06, tests)
    assert 0.9 < np.mean(kept) < 1.0
