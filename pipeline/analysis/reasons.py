"""Why a decision stands as it does, in words that an analyst reads without the formulas.

Belongs here: sentences and number formats of decisions. Does not: the decision itself
(`experiments`), reviews and insights made of several decisions (notebooks).
"""

from collections.abc import Mapping, Sequence

from pipeline.analysis.arm_stats import LEAST_EVENTS, LEAST_LEADS, ArmStats
from pipeline.analysis.best import Best
from pipeline.analysis.comparisons import Arm, Comparison, Design, is_money
from pipeline.analysis.guardrails import MARGIN, Watch
from pipeline.analysis.sample_ratio import SampleRatio
from pipeline.analysis.shrinkage import LEAST_TESTS, Prior

FEW_SENDERS = (
    "Few senders: each arm is one sender, so what is found is the effect of these senders, not of "
    "their kind."
)


def amount(metric: str, value: float) -> str:
    """Return a mean as text: per cent of leads, or money per lead."""
    return f"{value:.2f} per lead" if is_money(metric) else f"{100 * value:.2f} %"


def difference(metric: str, value: float) -> str:
    """Return a difference as text: points, or money per lead."""
    return f"{value:+.2f} per lead" if is_money(metric) else f"{100 * value:+.2f} points"


def measured(pair: Comparison) -> str:
    """Return what a comparison found, with its uncertainty."""
    if pair.effect is None or pair.mean_arm is None or pair.mean_baseline is None:
        return f"{pair.arm} and {pair.baseline} cannot be compared yet"
    text = (
        f"{pair.metric}: {pair.arm} {amount(pair.metric, pair.mean_arm)}, "
        f"{pair.baseline} {amount(pair.metric, pair.mean_baseline)}, "
        f"difference {difference(pair.metric, pair.effect)}"
    )
    if pair.interval_low is None or pair.interval_high is None:
        return text
    low, high = (
        difference(pair.metric, value).removesuffix(" per lead").removesuffix(" points")
        for value in (pair.interval_low, pair.interval_high)
    )
    return f"{text} (interval {low} to {high})"


def honest(metric: str, effect: float, shrunk: tuple[float, float, float], prior: Prior) -> str:
    """Return which effect to expect, from the measured one and the shrunken one with its ends."""
    expected, low, high = (difference(metric, value) for value in shrunk)
    bounds = [end.partition(" ")[0] for end in (low, high)]
    share = f"{100 * prior.spread:.0f} % of the base rate"
    source = (
        f"{prior.count_tests} comparisons of finished tests say that effects of this kind spread "
        f"by {share}"
        if prior.is_learned
        else f"Until {LEAST_TESTS} comparisons of this kind are finished, effects are taken to "
        f"spread by {share}"
    )
    return (
        f"Honest to expect is {expected} ({bounds[0]} to {bounds[1]}) where "
        f"{difference(metric, effect)} was measured: what looks best has been lucky, too. {source}."
    )


def listed(names: Sequence[str]) -> str:
    """Return names as "a, b and c"."""
    if len(names) <= 1:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def split_alarm(ratio: SampleRatio) -> str:
    """Return why a broken split makes the experiment invalid."""
    groups = [
        f"{arm} has {count:,} of {ratio.expected[arm]:,.0f} expected"
        for arm, count in ratio.observed.items()
    ]
    return (
        f"Leads were not split as declared: {listed(groups)} (p = {ratio.p_value:.2g}). No winner "
        "is named; analysis.split_checks tells by day, source, country and sender where it comes "
        "from"
    )


def holdout_alarm(ratio: SampleRatio) -> str:
    """Return why nothing can be said of a step that held out another share than declared."""
    count, expected = ratio.observed["held out"], ratio.expected["held out"]
    return (
        f"{count:,} of {ratio.units:,} leads were held out where {expected:,.0f} were to be (p = "
        f"{ratio.p_value:.2g}). No effect is claimed; find out who was sent or held out besides"
    )


def lost_alarm(lost: SampleRatio) -> str:
    """Return why leads lost on the way make the experiment invalid."""
    groups = [
        f"{arm} lost {count:,} where {lost.expected[arm]:,.0f} are its part"
        for arm, count in lost.observed.items()
    ]
    return (
        f"Messages that never went out are not spread evenly: {listed(groups)} (p = "
        f"{lost.p_value:.2g}). No winner is named; see what refused or suppressed them"
    )


def costs_little(design: Design, name: str, best: Best, threshold: float) -> str:
    """Return why an arm is taken that has beaten nobody."""
    share = f"{100 * (design.expected_loss or 0):g} % of the base rate"
    return (
        f"{name} costs {amount(design.metric, best.loss)} on average against the best arm, less "
        f"than the {amount(design.metric, threshold)} ({share}) that are cared about; by effects "
        f"of {design.prior.count_tests} comparisons of finished tests"
    )


def equivalent(name: str, margin: float, p_value: float, alpha: float) -> str:
    """Return whether an arm is shown to be as good as the control, within a margin."""
    within = f"{100 * margin:g} % of the control's rate"
    if p_value < alpha:
        return f"{name} is equivalent to it within {within} (p = {p_value:.2g})"
    return f"{name} is not shown to be equivalent to it within {within} (p = {p_value:.2g})"


def harmful(harm: Mapping[str, str], control: str | None) -> str:
    """Return why an experiment is over for harm."""
    found = "; ".join(harm.values())
    if control in harm:
        return f"{listed(list(harm))} does harm: {found}. A person looks at the whole step"
    return f"{listed(list(harm))} does harm: {found}. Keep {control}"


def taken_out(harm: Mapping[str, str]) -> str:
    """Return which arms cannot win any more, in a test that goes on."""
    return f"{listed(list(harm))} is taken out for harm: {'; '.join(harm.values())}"


def guardrails_open(watches: Sequence[Watch]) -> str:
    """Return what is open or doubtful about the guardrails of a winner; empty if nothing is."""
    warned = [watch.reason for watch in watches if watch.status == "warned"]
    pending = [watch.metric for watch in watches if watch.status == "pending"]
    text = "".join(f" Mind that {reason}." for reason in warned)
    if pending:
        text += (
            f" Guardrails pending: not shown yet to be at most {100 * MARGIN:.0f} % worse in "
            f"{listed(pending)}."
        )
    return text


def conflict_alarm(conflicting_units: int, units: int) -> str:
    """Return why leads seen in two arms make the experiment invalid."""
    return (
        f"{conflicting_units:,} of {units:,} leads were seen in two arms, more than 1 %. No winner "
        "is named; look at merges and imports"
    )


def collecting(metric: str, arm: Arm) -> str:
    """Return what an arm still lacks before anything can be said."""
    stats: ArmStats = arm.stats
    if stats.n == 0 and arm.n_assigned:
        return f"No lead in {arm.name} has completed its outcome window yet"
    if stats.n < LEAST_LEADS:
        return f"{arm.name} has {stats.n:,} of the {LEAST_LEADS} leads needed"
    if stats.events < LEAST_EVENTS:
        return f"{arm.name} has {stats.events:.0f} of the {LEAST_EVENTS} leads with {metric} needed"
    return f"{arm.name} has fewer than {LEAST_EVENTS} leads without {metric}"
