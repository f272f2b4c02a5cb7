"""Does an arm do harm? Unsubscribes, complaints and bounces, watched from the first one on.

Belongs here: exact evidence that an arm harms more than the control, or more than any sender may
(statistics.md 2.9). Does not: what follows from it (`experiments`), which leads count (dbt models).

Bad events are rare, so nothing here is approximate: of all bad events of two arms, those of one are
binomial with its share of the leads, whatever the rates and however they drift. Evidence is an
e-value, right at every look, and counts every lead drawn so far: harm does not wait for a window.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from pipeline.analysis.arm_stats import LEAST_EVENTS, ArmStats, Numbers
from pipeline.analysis.guardrail_days import DayCount, log_e_over_days
from pipeline.analysis.sequential import confidence_multiplier, tuning_rate

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

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
    """Leads of an arm drawn so far, and how many of them had the bad event.

    `days` holds the same by day of the draw, where the share of the arm changed meanwhile: then the
    bad events of one day are binomial, not those of all (`guardrail_days`).
    """

    arm: str
    n: int
    count: int
    share: float
    is_control: bool = False
    days: Mapping[str, Sequence[int]] = field(default_factory=dict)

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
    [found] = watch_experiments([exposures])
    return found


def watch_experiments(
    experiments: Sequence[Mapping[str, Sequence[Exposure]]],
) -> list[list[Watch]]:
    """Return the same of many experiments, all their arms weighed at once."""
    watched = [
        _Watched(row, guardrail, arm, next((one for one in arms if one.is_control), None))
        for row, exposures in enumerate(experiments)
        for guardrail in GUARDRAILS
        for arms in [exposures.get(guardrail.metric, ())]
        for arm in arms
    ]
    found: list[list[Watch]] = [[] for _ in experiments]
    if not watched:
        return found
    for one, *evidence in zip(watched, *_weigh(watched), strict=True):
        found[one.experiment].append(_judge(one, *evidence))
    return found


def one_sided_log_e(
    count: Numbers, total: Numbers, chance: Numbers, concentration: float = CONCENTRATION
) -> Numbers:
    """Return the log e-value against "each of `total` is one of `count` with at most `chance`".

    The mixture is Beta(k × chance, k × (1 − chance)) above the chance (Howard et al. 2021); exact
    at any number of looks.
    """
    a, b = concentration * chance, concentration * (1 - chance)
    above = _log_beta_above(a + count, b + total - count, chance) - _log_beta_above(a, b, chance)
    return above - count * np.log(chance) - (total - count) * np.log1p(-chance)


def is_not_inferior(arm: Exposure, control: Exposure) -> bool:
    """Return whether the arm's rate is shown to be at most the margin above the control's."""
    found = _not_inferior(*(np.array([n]) for n in (arm.n, arm.count, control.n, control.count)))
    return bool(found[0])


class _Watched(NamedTuple):
    """One arm under one guardrail, beside the control of its experiment, if it has one."""

    experiment: int
    guardrail: Guardrail
    arm: Exposure
    control: Exposure | None

    @property
    def chance(self) -> float:
        """Share of the control's and the arm's leads that are the arm's; 0 = nothing to compare."""
        if not self.control or self.arm.is_control or min(self.arm.share, self.control.share) <= 0:
            return 0.0
        return self.arm.share / (self.arm.share + self.control.share)

    @property
    def has_days(self) -> bool:
        """Whether arm and control can be told apart day by day only."""
        return bool(self.control and self.chance and self.arm.days)

    def log_e_over_days(self) -> float:
        """Return the evidence for more than the control, day by day."""
        nobody = DayCount(0, 0)
        of_control = self.control.days if self.control else {}
        on = sorted({*self.arm.days, *of_control})
        arm, control = (
            [DayCount(*days.get(day, nobody)) for day in on] for days in (self.arm.days, of_control)
        )
        return log_e_over_days(arm, control, self.chance, CONCENTRATION)


def _weigh(watched: Sequence[_Watched]) -> tuple[list[Any], ...]:
    """Return of each its evidence for more than the control, than the limits; not inferior or not.

    Where there is nothing to compare, or no such limit, the evidence is 0.
    """
    n = np.array([one.arm.n for one in watched])
    count = np.array([one.arm.count for one in watched])
    control_n = np.array([one.control.n if one.control else 0 for one in watched])
    control_count = np.array([one.control.count if one.control else 0 for one in watched])
    against_control = _log_e_where(
        count, count + control_count, np.array([one.chance for one in watched])
    )
    # Sums of leads that came at different times say nothing of one arm beside another.
    by_days = np.array([one.has_days for one in watched])
    against_control[by_days] = [one.log_e_over_days() for one in watched if one.has_days]
    limits = [
        _log_e_where(count, n, np.array([limit or 0.0 for limit in column]))
        for column in (
            [one.guardrail.stop for one in watched],
            [one.guardrail.warn for one in watched],
        )
    ]
    sound = _not_inferior(n, count, control_n, control_count) & ~by_days
    return against_control.tolist(), limits[0].tolist(), limits[1].tolist(), sound.tolist()


def _log_e_where(count: Numbers, total: Numbers, chance: Floats) -> Floats:
    """Return the evidence where there is a chance to be compared with, 0 elsewhere."""
    found = np.zeros(len(chance))
    rows = chance > 0
    found[rows] = one_sided_log_e(count[rows], total[rows], chance[rows])
    return found


def _log_beta_above(a: Numbers, b: Numbers, chance: Numbers) -> Numbers:
    """Return the log of the integral of x^(a−1) (1−x)^(b−1) over x above the chance."""
    beyond = special.betaincc(a, b, chance)
    with np.errstate(all="ignore"):
        # So far in the tail that the integrand falls like an exponential from its left end on.
        falling = (b - 1) / (1 - chance) - (a - 1) / chance
        tail = (a - 1) * np.log(chance) + (b - 1) * np.log1p(-chance) - np.log(falling)
        return np.where(beyond > _UNDERFLOW, special.betaln(a, b) + np.log(beyond), tail)


def _judge(
    watched: _Watched, log_e: float, log_e_limit: float, log_e_warn: float, is_sound: bool
) -> Watch:
    """Return the status of one arm under one guardrail, with its reason."""
    _, guardrail, arm, control = watched
    found = f"{arm.count:,} of {arm.n:,} leads of {arm.arm} {guardrail.metric}"
    status: Status = "harmful"
    if log_e > math.log(STOP_E) and control:
        reason = f"{found}, and {control.count:,} of {control.n:,} of {control.arm}"
        reason += ", day by day" if watched.has_days else ""
    elif log_e_limit > math.log(STOP_E) and guardrail.stop:
        reason = f"{found}, more than the {100 * guardrail.stop:g} % that stop a sender"
    elif log_e_warn > math.log(STOP_E) and guardrail.warn:
        status = "warned"
        reason = f"{found}, more than the {100 * guardrail.warn:g} % that providers accept"
    elif control is None or arm.is_control or is_sound:
        status, reason = "clear", found
    else:
        status = "pending"
        reason = f"{found}: not shown yet that {arm.arm} is at most {100 * MARGIN:.0f} % worse"
    return Watch(guardrail.metric, arm.arm, status, reason, arm.n, arm.count, log_e, log_e_limit)


def _not_inferior(n: Numbers, count: Numbers, control_n: Numbers, control_count: Numbers) -> Bools:
    """Return whether rates are shown to be at most the margin above those of the controls.

    By the upper end of a one-sided always-valid interval, with ten bad events of the control.
    """
    arm, control = ArmStats(n, count, count), ArmStats(control_n, control_count, control_count)
    # One-sided at α is two-sided at 2α.
    rate = tuning_rate(_TUNED_FOR, 2 * _ALPHA)
    with np.errstate(all="ignore"):
        error = np.sqrt(arm.variance / n + control.variance / control_n)
        reach = confidence_multiplier(n + control_n, rate, 2 * _ALPHA) * error
        is_near = arm.mean - control.mean + reach < MARGIN * control.mean
    return np.asarray(is_near & (n > 0) & (control_n > 0) & (control_count >= LEAST_EVENTS))
