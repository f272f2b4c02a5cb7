"""Does an arm do harm? Unsubscribes, complaints and bounces, watched from the first one on.

Belongs here: exact evidence that an arm harms more than the control, or more than any sender may
(statistics.md 2.9). Does not: what follows from it (`experiments`), which leads count (dbt models).

Bad events are rare, so nothing here is approximate: of all bad events of two arms, those of one are
binomial with its share of the leads, whatever the rates and however they drift. Evidence is an
e-value, right at every look, and counts every lead drawn so far: harm does not wait for a window.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from scipy import special

from pipeline.analysis.arm_stats import LEAST_EVENTS, ArmStats
from pipeline.analysis.sequential import confidence_multiplier, tuning_rate

# One in twenty arms that do no harm is stopped at most, however long it is watched.
STOP_E = 20.0
CONCENTRATION = 20.0
# A winner may have this much more of what is bad, as a share of the control's rate.
MARGIN = 0.20
_ALPHA = 0.05
_TUNED_FOR = 5000
_UNDERFLOW = 1e-280

Status = Literal["clear", "pending", "warned", "harmful"]


class Guardrail(NamedTuple):
    """What must not rise, with the rates per lead at which to warn and to stop in any case."""

    metric: str
    warn: float | None = None
    stop: float | None = None


# The limits of Gmail and Yahoo for complaints; what providers suspend senders for, of bounces.
GUARDRAILS = (
    Guardrail("unsubscribed"),
    Guardrail("complained", 0.001, 0.003),
    Guardrail("bounced", 0.02, 0.05),
)
METRICS = tuple(guardrail.metric for guardrail in GUARDRAILS)


@dataclass(frozen=True)
class Exposure:
    """Leads of an arm drawn so far, and how many of them had the bad event."""

    arm: str
    n: int
    count: int
    share: float
    is_control: bool = False

    @property
    def rate(self) -> float:
        """Bad events per lead drawn."""
        return self.count / self.n if self.n else 0.0


@dataclass(frozen=True)
class Watch:
    """What one guardrail says of one arm at a look.

    `clear`: not inferior to the control by more than the margin; `pending`: that is not shown yet.
    """

    metric: str
    arm: str
    status: Status
    reason: str
    n: int
    count: int
    log_e: float
    log_e_limit: float


def watch_arms(exposures: Mapping[str, Sequence[Exposure]]) -> list[Watch]:
    """Return what every guardrail says of every arm, in the order of GUARDRAILS and arms.

    Args:
        exposures: by metric, all arms that are sent, with the share each is drawn with.
    """
    return [
        _watch(guardrail, arm, next((one for one in arms if one.is_control), None))
        for guardrail in GUARDRAILS
        for arms in [exposures.get(guardrail.metric, ())]
        for arm in arms
    ]


def one_sided_log_e(
    count: float, total: float, chance: float, concentration: float = CONCENTRATION
) -> float:
    """Return the log e-value against "each of `total` is one of `count` with at most `chance`".

    The mixture is Beta(k × chance, k × (1 − chance)) above the chance (Howard et al. 2021); exact
    at any number of looks.
    """
    a, b = concentration * chance, concentration * (1 - chance)
    above = _log_beta_above(a + count, b + total - count, chance) - _log_beta_above(a, b, chance)
    return above - count * math.log(chance) - (total - count) * math.log1p(-chance)


def _log_beta_above(a: float, b: float, chance: float) -> float:
    """Return the log of the integral of x^(a−1) (1−x)^(b−1) over x above the chance."""
    beyond = float(special.betaincc(a, b, chance))
    if beyond > _UNDERFLOW:
        return float(special.betaln(a, b)) + math.log(beyond)
    # So far in the tail that the integrand falls like an exponential from its left end on.
    falling = (b - 1) / (1 - chance) - (a - 1) / chance
    return (a - 1) * math.log(chance) + (b - 1) * math.log1p(-chance) - math.log(falling)


def _watch(guardrail: Guardrail, arm: Exposure, control: Exposure | None) -> Watch:
    log_e = 0.0
    if control and not arm.is_control and arm.share > 0 and control.share > 0:
        chance = arm.share / (arm.share + control.share)
        log_e = one_sided_log_e(arm.count, arm.count + control.count, chance)
    log_e_limit = one_sided_log_e(arm.count, arm.n, guardrail.stop) if guardrail.stop else 0.0
    status, reason = _judge(guardrail, arm, control, max(log_e, 0.0), log_e_limit)
    return Watch(guardrail.metric, arm.arm, status, reason, arm.n, arm.count, log_e, log_e_limit)


def _judge(
    guardrail: Guardrail,
    arm: Exposure,
    control: Exposure | None,
    log_e: float,
    log_e_limit: float,
) -> tuple[Status, str]:
    found = f"{arm.count:,} of {arm.n:,} leads of {arm.arm} {guardrail.metric}"
    if log_e > math.log(STOP_E) and control:
        return "harmful", f"{found}, and {control.count:,} of {control.n:,} of {control.arm}"
    if log_e_limit > math.log(STOP_E) and guardrail.stop:
        return "harmful", f"{found}, more than the {100 * guardrail.stop:g} % that stop a sender"
    if guardrail.warn and one_sided_log_e(arm.count, arm.n, guardrail.warn) > math.log(STOP_E):
        return "warned", f"{found}, more than the {100 * guardrail.warn:g} % that providers accept"
    if control is None or arm.is_control or is_not_inferior(arm, control):
        return "clear", found
    return "pending", f"{found}: not shown yet that {arm.arm} is at most {100 * MARGIN:.0f} % worse"


def is_not_inferior(arm: Exposure, control: Exposure) -> bool:
    """Return whether the arm's rate is shown to be at most the margin above the control's.

    By the upper end of a one-sided always-valid interval, with ten bad events of the control.
    """
    if min(arm.n, control.n) == 0 or control.count < LEAST_EVENTS:
        return False
    stats = [ArmStats(one.n, one.count, one.count) for one in (arm, control)]
    error = math.sqrt(sum(one.variance / one.n for one in stats))
    # One-sided at α is two-sided at 2α.
    rate = tuning_rate(_TUNED_FOR, 2 * _ALPHA)
    reach = confidence_multiplier(arm.n + control.n, rate, 2 * _ALPHA) * error
    return arm.rate - control.rate + reach < MARGIN * control.rate
