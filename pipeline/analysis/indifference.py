"""When a difference is too small to matter: the arm that costs little, arms that are equivalent.

Belongs here: the threshold of caring (statistics.md 2.4), equivalence within a margin (2.2). Does
not: which arm is better (`comparisons`), what is believed about the arms (`shrinkage`).
"""

from collections.abc import Mapping, Sequence

from statsmodels.stats.proportion import tost_proportions_2indep

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.best import Best
from pipeline.analysis.comparisons import Arm, Design, is_money
from pipeline.analysis.shrinkage import base_rate


def threshold_of_caring(design: Design, arms: Sequence[Arm]) -> float | None:
    """Return the loss per lead that is too small to matter; None where nothing is decided by it.

    Only a prior learned from the workspace's own tests makes losses honest under daily looks: with
    a flat one nearly half of all tests of equal arms would end with a winner.
    """
    if design.expected_loss is None or not design.prior.is_learned:
        return None
    return design.expected_loss * float(base_rate([arm.stats for arm in arms]))


def arm_that_costs_little(
    design: Design, arms: Sequence[Arm], best: Mapping[str, Best]
) -> str | None:
    """Return the arm with the least expected loss, if that is below the threshold of caring.

    Args:
        design: the rule; its prior is that of the losses.
        arms: those that compete.
        best: how good each of them probably is; empty before all are burned in.
    """
    threshold = threshold_of_caring(design, arms)
    if threshold is None or not best:
        return None
    name = min(best, key=lambda arm: (best[arm].loss, arm))
    return name if best[name].loss <= threshold else None


def equivalence_p(margin: float, arm: ArmStats, control: ArmStats, metric: str) -> float | None:
    """Return the p-value of two one-sided tests that two rates differ by less than a margin.

    At one look, the last one of a plan: it is not for peeking.

    Args:
        margin: largest difference that does not matter, as a share of the control's rate.
        arm: statistics of the one.
        control: statistics of the other.
        metric: of money nothing is said; None then, and before anybody had the outcome.
    """
    if is_money(metric) or not (arm.is_burned_in and control.is_burned_in):
        return None
    width = margin * float(control.mean)
    found = tost_proportions_2indep(
        float(arm.sum), float(arm.n), float(control.sum), float(control.n), -width, width
    )
    return float(found.pvalue)
