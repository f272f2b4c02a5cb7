"""A look at an experiment whose arms cannot simply be compared: it names no winner, but stops harm.

Belongs here: the decision on bandits and on tests whose weights were changed. Does not: why one is
held back (`decisions`), estimates of a bandit (`adaptive`), all other decisions (`experiments`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.analysis import reasons
from pipeline.analysis.comparisons import Arm, Design
from pipeline.analysis.experiments import Decision, State, decide_experiment
from pipeline.analysis.guardrails import Exposure, watch_arms


def hold_back(
    why: str,
    design: Design,
    arms: Sequence[Arm],
    exposures: Mapping[str, Sequence[Exposure]],
    before: Mapping[str, Any],
    caveat: str = "",
) -> Decision:
    """Return a look without comparisons, so that no wrong number is shown: running, or harmful.

    Harm is judged on everybody drawn so far, as in any test; with two sound arms or more the test
    goes on without the others.

    Args:
        why: the reason to hold it back.
        design: its rule.
        arms: all arms, for the record: their plain means are biased.
        exposures: bad events of every arm by guardrail, with its days.
        before: the `evidence` of the look before; none at the first look.
        caveat: what has to be said beside every reason.
    """
    watches = watch_arms(exposures)
    harm = {watch.arm: watch.reason for watch in watches if watch.status == "harmful"}
    harm |= before.get("harm", {})
    sound = [arm.name for arm in arms if arm.competes and arm.name not in harm]
    is_over = bool(harm) and (design.control in harm or len(sound) < len(("control", "rival")))
    if is_over:
        reason = f"{reasons.harmful(harm, design.control)}."
    else:
        reason = f"{why} {reasons.taken_out(harm)}." if harm else why
    empty = decide_experiment(design, [])
    state: State = "harmful" if is_over else "running"
    return replace(
        empty,
        state=state,
        reason=f"{reason} {caveat}" if caveat else reason,
        control=design.control,
        n=sum(arm.stats.n for arm in arms),
        n_assigned=sum(arm.n_assigned for arm in arms),
        evidence={
            **empty.evidence,
            "state": state,
            "looks": int(before.get("looks", 0)) + 1,
            "arms": [{**vars(arm), "stats": vars(arm.stats)} for arm in arms],
            "exposures": {name: [vars(arm) for arm in found] for name, found in exposures.items()},
            "guardrails": [vars(watch) for watch in watches],
            "harm": harm,
            "stopped": [arm for arm in harm if arm != design.control],
            "caveat": caveat,
            "held_back": why,
        },
    )
