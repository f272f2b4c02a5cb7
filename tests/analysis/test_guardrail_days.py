import math

import numpy as np
import pytest
from scipy import stats

from pipeline.analysis.guardrail_days import DayCount, log_e_over_days
from pipeline.analysis.guardrails import (
    CONCENTRATION,
    STOP_E,
    Exposure,
    one_sided_log_e,
    watch_arms,
)
from tests.analysis.test_adaptive import thompson


def days(n, bad):
    return [DayCount(int(one), int(count)) for one, count in zip(n, bad, strict=True)]


def exposures(n, bad, metric="unsubscribed"):
    """Two arms, the control first, from columns of leads and bad events by day."""
    found = []
    for ix, name in enumerate("ab"):
        by_day = {
            f"2026-03-{day + 1:02}": (int(n[day, ix]), int(bad[day, ix])) for day in range(len(n))
        }
        total, count = int(n[:, ix].sum()), int(bad[:, ix].sum())
        found.append(Exposure(name, total, count, 0.5, is_control=ix == 0, days=by_day))
    return {metric: found}


@pytest.mark.parametrize(("arm_leads", "control_leads"), [(100, 100), (300, 100), (90, 10)])
@pytest.mark.parametrize(("bad", "control_bad"), [(0, 3), (6, 2), (20, 24), (24, 3)])
def test_with_one_share_on_all_days_it_is_the_evidence_of_the_sums(
    arm_leads, control_leads, bad, control_bad
):
    chance = arm_leads / (arm_leads + control_leads)
    split = stats.multinomial(bad, [0.25] * 4).rvs(random_state=1)[0]
    of_control = stats.multinomial(control_bad, [0.25] * 4).rvs(random_state=2)[0]
    found = log_e_over_days(
        days([arm_leads] * 4, split), days([control_leads] * 4, of_control), chance, CONCENTRATION
    )
    expected = one_sided_log_e(bad, bad + control_bad, chance)
    assert found == pytest.approx(float(expected), abs=0.02)


def test_its_mean_is_one_without_harm_and_less_with_an_arm_that_does_good():
    """Over all that two days with nine and twelve bad events can bring."""

    def mean(odds):
        total = 0.0
        for first in range(10):
            for second in range(13):
                chances = [share * odds / (1 - share + share * odds) for share in (0.9, 0.2)]
                weight = stats.binom.pmf(first, 9, chances[0])
                weight *= stats.binom.pmf(second, 12, chances[1])
                arm, control = (
                    days([900, 200], [first, second]),
                    days([100, 800], [9 - first, 12 - second]),
                )
                total += weight * math.exp(log_e_over_days(arm, control, 0.5, CONCENTRATION))
        return total

    assert mean(1.0) == pytest.approx(1)
    assert mean(0.7) < 1
    assert mean(1.5) > 1


def test_a_bad_day_is_not_held_against_the_arm_that_had_most_leads_on_it():
    n = np.array([[100, 900], [900, 100]])
    # A tenth of all leads is lost on the first day, one in a hundred on the second, in both arms.
    bad = np.array([[10, 90], [9, 1]])
    assert [watch.status for watch in watch_arms(exposures(n, bad))] == ["clear", "pending"]
    plain = {
        "unsubscribed": [
            Exposure("a", 1000, 19, 0.5, is_control=True), Exposure("b", 1000, 91, 0.5)
        ]
    }  # fmt: skip
    assert [watch.status for watch in watch_arms(plain)] == ["clear", "harmful"]
    worse = np.array([[2, 98], [5, 5]])
    assert [watch.status for watch in watch_arms(exposures(n, worse))] == ["clear", "harmful"]


@pytest.mark.parametrize(
    ("arm", "control", "chance"),
    [
        ([], [], 0.5),
        (days([5], [0]), days([5], [0]), 0.5),
        (days([5], [5]), days([0], [0]), 0.5),
        (days([50_000], [50_000]), days([50_000], [0]), 0.5),
        (days([50], [5]), days([50], [5]), 0.0),
    ],
    ids=["no days", "nothing bad", "nobody beside it", "everybody", "no share"],
)
def test_edges_are_numbers(arm, control, chance):
    assert math.isfinite(log_e_over_days(arm, control, chance, CONCENTRATION))


def test_arms_of_bandits_that_do_no_harm_are_stopped_rarely_and_those_that_do_are():
    """Unsubscribes fall by the day; the arm that answers better gets most leads, and most of them."""
    rng = np.random.default_rng(23)
    worlds, looks = 120, (7, 14, 21, 28)
    falling = np.linspace(0.06, 0.002, 28)[:, None]
    stopped, by_sums = {1.0: 0, 3.0: 0}, 0
    for odds in stopped:
        for _ in range(worlds):
            n, _, _ = thompson(rng, [0.04, 0.07])
            bad = rng.binomial(n, falling * np.array([1.0, odds]))
            stopped[odds] += any(
                watch_arms(exposures(n[:day], bad[:day]))[1].status == "harmful" for day in looks
            )
            count, total = int(bad[:, 1].sum()), int(bad.sum())
            by_sums += odds == 1.0 and one_sided_log_e(count, total, 0.5) > math.log(STOP_E)
    assert stopped[1.0] / worlds <= 0.02 + 2 * math.sqrt(0.02 * 0.98 / worlds)
    assert stopped[3.0] / worlds >= 0.9
    # Sums beside the declared shares take the most drawn arm for the worst.
    assert by_sums / worlds > 0.5
