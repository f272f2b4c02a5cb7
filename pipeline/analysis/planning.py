"""How many leads a test needs, how long that takes, what could be seen at all (statistics.md 2.6).

Belongs here: sizes and times before a test begins. Does not: the rules that it is decided by
(`comparisons`), where volumes come from (`drip plan-test` reads the warehouse).
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import optimize, special
from statsmodels.stats.power import NormalIndPower, TTestIndPower
from statsmodels.stats.proportion import proportion_effectsize

Mode = Literal["open", "planned"]

# What looking every day costs against one test at the end: the most leads, and the mean number,
# in units of the size of that single test. Measured at 28 looks (statistics.md 2.6).
_POWERS = (0.80, 0.90)
_MOST = {"planned": (1.11, 1.10), "open": (1.71, 1.61)}
_MEAN = {"planned": (0.83, 0.74), "open": (1.10, 0.90)}
# Leads per arm below which nothing is a test; a size above all that a share can have.
_FEWEST = 2.0
_LARGEST = 10.0


class Outcome(NamedTuple):
    """What is counted: a share of leads, or an amount with its standard deviation per lead."""

    base: float
    deviation: float | None = None

    def size(self, target: float) -> float:
        """Return the standardised size of a change from the base to the target."""
        if self.deviation is not None:
            return (target - self.base) / self.deviation
        return float(proportion_effectsize(target, self.base))

    def target(self, size: float) -> float | None:
        """Return the mean that lies so far above the base; None beyond everybody."""
        if self.deviation is not None:
            return self.base + size * self.deviation
        angle = math.asin(math.sqrt(self.base)) + size / 2
        return math.sin(angle) ** 2 if angle < math.pi / 2 else None

    def power(self, size: float, leads: float, alpha: float) -> float:
        """Return how often a two-sided test with so many leads per arm finds the size."""
        test = NormalIndPower() if self.deviation is None else TTestIndPower()
        return float(test.power(size, leads, alpha))


@dataclass(frozen=True)
class TestRule:
    """What is fixed beforehand: arms, error rates, and whether the size is planned."""

    __test__ = False

    arms: int = 2
    mode: Mode = "planned"
    alpha: float = 0.05
    power: float = 0.80

    @property
    def pair_alpha(self) -> float:
        """Level of each pair, so that naming the arm that beats all others is wrong with alpha."""
        return min(self.alpha, 2 * self.alpha / self.arms)

    @property
    def most(self) -> float:
        """Leads that a test needs at most, in units of one that is looked at once."""
        return float(np.interp(self.power, _POWERS, _MOST[self.mode]))

    @property
    def mean(self) -> float:
        """Leads that a test needs on average, in the same units, when the effect is there."""
        return float(np.interp(self.power, _POWERS, _MEAN[self.mode]))


@dataclass(frozen=True)
class Plan:
    """A test of one size. Leads are those of all arms; days end when the last window is over.

    `leads_once` is the size of a test looked at once; `leads` is the planned size of ours, which is
    looked at every day; `leads_expected` is what it uses on average when the effect is there. The
    effect is absolute: a difference of rates, or of money per lead.
    """

    base: float
    target: float
    leads_once: int
    leads: int
    leads_expected: int
    days: float | None
    days_expected: float | None

    @property
    def effect(self) -> float:
        """Absolute difference that the test is made to find."""
        return self.target - self.base

    @property
    def relative(self) -> float | None:
        """The same in units of the base; None without one."""
        return self.effect / self.base if self.base else None


def leads_per_arm(outcome: Outcome, target: float, *, alpha: float, power: float) -> float:
    """Return leads per arm with which a single two-sided test finds the target.

    By the arcsine for shares and Student's t for amounts (statsmodels).
    """
    size = abs(outcome.size(target))
    if outcome.power(size, _FEWEST, alpha) >= power:
        return _FEWEST
    # The library's own solver gives up on large and on small sizes; this bracket holds the answer.
    guess = 2 * ((special.ndtri(1 - alpha / 2) + special.ndtri(power)) / size) ** 2
    return float(
        optimize.brentq(
            lambda leads: outcome.power(size, leads, alpha) - power, _FEWEST, 2 * guess + 100
        )
    )


def plan_for_effect(
    outcome: Outcome,
    target: float,
    rule: TestRule,
    *,
    leads_per_day: float | None = None,
    window_days: float = 0.0,
) -> Plan:
    """Return the test that finds the target with the rule's power.

    Args:
        outcome: base of the control.
        target: mean of the better arm, another than the base.
        rule: arms, mode and error rates.
        leads_per_day: leads that reach the step, all arms together; None leaves days open.
        window_days: how long each lead is watched.
    """
    each = leads_per_arm(outcome, target, alpha=rule.pair_alpha, power=rule.power)
    leads = each * rule.arms * rule.most
    expected = each * rule.arms * rule.mean
    return Plan(
        base=outcome.base,
        target=target,
        leads_once=math.ceil(each * rule.arms),
        leads=math.ceil(leads),
        leads_expected=math.ceil(expected),
        days=_days(leads, leads_per_day, window_days),
        days_expected=_days(expected, leads_per_day, window_days),
    )


def detectable_target(outcome: Outcome, leads: float, rule: TestRule) -> float | None:
    """Return the smallest better mean that so many leads, all arms together, can find.

    None where not even everybody converting would be found.
    """
    each = leads / rule.arms / rule.most
    if each < _FEWEST or outcome.power(_LARGEST, each, rule.pair_alpha) < rule.power:
        return None
    size = optimize.brentq(
        lambda size: outcome.power(size, each, rule.pair_alpha) - rule.power, 0.0, _LARGEST
    )
    return outcome.target(float(size))


def observed_rate(rate: float, machines: float) -> float:
    """Return the rate that is seen where a share of leads is opened by machines in any case."""
    return machines + (1 - machines) * rate


def machine_factor(base: float, target: float, machines: float) -> float:
    """Return how many times the leads a test of opens needs because machines open, too."""
    clean = abs(proportion_effectsize(target, base))
    seen = abs(
        proportion_effectsize(observed_rate(target, machines), observed_rate(base, machines))
    )
    return float((clean / seen) ** 2)


def _days(leads: float, leads_per_day: float | None, window_days: float) -> float | None:
    return leads / leads_per_day + window_days if leads_per_day else None
