import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from pipeline.analysis.guardrails import (
    CONCENTRATION,
    METRICS,
    Exposure,
    is_not_inferior,
    one_sided_log_e,
    watch_arms,
)
from pipeline.sequences.compiled import GUARDRAILS
from tests.analysis.conftest import OTHERS


def two(control, arm, metric="complained", n=8400):
    return {
        metric: [Exposure("a", n, control, 0.5, is_control=True), Exposure("b", n, arm, 0.5)],
    }


def status(exposures, arm="b"):
    return [watch.status for watch in watch_arms(exposures) if watch.arm == arm]


def test_the_evidence_is_the_integral_it_stands_for():
    for count, total, chance in ((9, 10, 0.5), (2, 30, 0.3), (7, 900, 0.003)):
        prior = stats.beta(CONCENTRATION * chance, CONCENTRATION * (1 - chance))

        def ratio(p, count=count, total=total, chance=chance):
            return math.exp(
                count * math.log(p / chance) + (total - count) * math.log((1 - p) / (1 - chance))
            )

        mixed = integrate.quad(
            lambda p, prior=prior, ratio=ratio: prior.pdf(p) * ratio(p), chance, 1, limit=500,
            points=[chance, min(1, 3 * chance)],
        )[0]  # fmt: skip
        expected = math.log(mixed / prior.sf(chance))
        assert one_sided_log_e(count, total, chance) == pytest.approx(expected, abs=1e-5)


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.01, 0.99))
def test_one_more_bad_event_of_the_arm_is_more_evidence_and_of_the_other_less(bad, good, chance):
    log_e = one_sided_log_e(bad, bad + good, chance)
    assert math.isfinite(log_e)
    assert one_sided_log_e(bad + 1, bad + good + 1, chance) >= log_e - 1e-6
    assert one_sided_log_e(bad, bad + good + 1, chance) <= log_e + 1e-6
    if bad <= (bad + good) * chance:
        assert log_e <= 1e-9


def test_evidence_of_nothing_is_one_and_its_mean_is_one_whatever_happens():
    assert one_sided_log_e(0, 0, 0.5) == 0
    chance = 0.4
    counts = np.arange(31)
    mean = sum(
        stats.binom.pmf(x, 30, chance) * math.exp(one_sided_log_e(x, 30, chance)) for x in counts
    )
    assert mean == pytest.approx(1)


def test_three_times_the_complaints_stop_an_arm_and_as_many_do_not():
    assert status(two(8, 30)) == ["harmful"]
    assert status(two(8, 9)) == ["pending"]
    assert status(two(30, 8), arm="a") == ["warned"]
    [watch] = [w for w in watch_arms(two(8, 30)) if w.arm == "b"]
    assert watch.reason == "30 of 8,400 leads of b complained, and 8 of 8,400 of a"


def test_too_many_of_what_providers_count_stop_a_sender_whatever_the_other_arm_does():
    assert status(two(600, 600, "bounced")) == ["harmful"]
    assert status(two(600, 600, "bounced"), arm="a") == ["harmful"]
    assert status(two(220, 230, "bounced"))[0] in {"warned", "pending"}
    assert status(two(250, 250, "bounced")) == ["warned"]
    # Unsubscribes have no limit of providers.
    assert status(two(600, 600, "unsubscribed"))[0] != "harmful"


def test_many_leads_without_a_difference_are_clear():
    assert is_not_inferior(
        Exposure("b", 200_000, 1000, 0.5), Exposure("a", 200_000, 1000, 0.5, is_control=True)
    )
    assert status(two(1000, 1000, "unsubscribed", n=200_000)) == ["clear"]
    assert status(two(100, 100, "unsubscribed", n=20_000)) == ["pending"]


@pytest.mark.parametrize(
    "exposures",
    [
        {},
        {"bounced": []},
        two(0, 0, n=0),
        two(0, 0),
        two(8400, 8400),
        {"complained": [Exposure("b", 10, 1, 0.5)]},
        {"complained": [Exposure("a", 10, 1, 0.0, is_control=True), Exposure("b", 9, 9, 0.0)]},
    ],
    ids=["none", "no arms", "no leads", "no events", "all", "no control", "no shares"],
)
def test_edges_are_judged_without_a_crash(exposures):
    for watch in watch_arms(exposures):
        assert math.isfinite(watch.log_e)
        assert math.isfinite(watch.log_e_limit)
        assert watch.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rates", "metric", "least", "most"),
    [
        pytest.param((0.001, 0.003), "complained", 0.50, 1.0, id="three times the complaints"),
        pytest.param((0.001, 0.001), "complained", 0.0, 0.02, id="equal complaints"),
        pytest.param((0.005, 0.005), "unsubscribed", 0.0, 0.02, id="equal unsubscribes"),
        pytest.param((0.02, 0.02), "bounced", 0.0, 0.02, id="equal bounces"),
    ],
)
def test_harm_is_stopped_as_often_as_designed(calibration, rates, metric, least, most):
    """28 daily looks at 300 leads an arm and day (statistics.md 3.4)."""
    rng = np.random.default_rng(91)
    tests = 400 * calibration.times
    stopped = 0
    for _ in range(tests):
        bad = rng.binomial(300, rates, (28, 2)).cumsum(axis=0)
        stopped += any(
            "harmful" in status(two(int(a), int(b), metric, n=300 * (day + 1)))
            for day, (a, b) in enumerate(bad)
        )
    question = f"{metric}, {100 * rates[0]:g} and {100 * rates[1]:g} %, 8,400 leads an arm: stopped"
    target = f"≥ {100 * least:g} %" if least else f"≤ {100 * most:g} %"
    calibration.note(OTHERS, question, stopped / tests, target, draws=tests, seed=91)
    error = 2 * math.sqrt(max(least, most % 1) * (1 - max(least, most % 1)) / tests)
    assert least - error <= stopped / tests <= most + error


def test_every_guardrail_that_a_file_may_name_is_watched():
    assert METRICS == GUARDRAILS
