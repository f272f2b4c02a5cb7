"""How large effects are in this workspace, learned from the tests that it has finished.

Belongs here: which looks teach, what they say by kind of metric. Does not: the estimate of a prior
(`shrinkage`), what it is used for (`decisions`).
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.shrinkage import Prior, base_rate, learn_prior

# Their effects are what a prior is learned from; an invalid test has none.
FINISHED = {"winner", "either_of", "no_difference", "harmful"}


def learn_priors(looks: Iterable[Mapping[str, Any]]) -> dict[str, Prior]:
    """Return the prior of effects for each kind of metric, from the workspace's finished tests.

    Each arm of a finished test counts once, against the control and relative to the mean of both.

    Args:
        looks: the evidence of the latest look of each experiment.
    """
    found: dict[str, tuple[list[float], list[float]]] = {}
    for look in looks:
        # Plain means of a bandit are biased by its weights.
        is_held_back = "held_back" in look
        if look.get("state") not in FINISHED or not look.get("arms") or is_held_back:
            continue
        effects, errors = found.setdefault(metric_kind(look["design"]["metric"]), ([], []))
        arms = [ArmStats(**arm["stats"]) for arm in look["arms"] if arm["role"] != "held_out"]
        # The control stands first.
        for arm in arms[1:]:
            if arm.is_burned_in and arms[0].is_burned_in:
                base = base_rate([arm, arms[0]])
                spread = math.sqrt(arm.variance / arm.n + arms[0].variance / arms[0].n)
                effects.append((arm.mean - arms[0].mean) / base)
                errors.append(spread / base)
    return {kind: learn_prior(*both) for kind, both in found.items()}


def metric_kind(metric: str) -> str:
    """Return what kind of outcome a metric counts, whatever the goal's name."""
    return metric.partition("(")[0]
