"""Which arm won, and may that be said yet: one decision per experiment and look.

Belongs here: the states of a decision and the search for a winner among all arms.
Does not: the comparison of two arms (`comparisons`), frames (`decisions`), storing looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from pipeline.analysis import reasons
from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.best import Best
from pipeline.analysis.comparisons import (
    Arm,
    Comparison,
    Design,
    compare_arms,
    order_arms,
    turn_around,
)
from pipeline.analysis.guardrails import Exposure, Watch, watch_experiments
from pipeline.analysis.indifference import (
    arm_that_costs_little,
    equivalence_p,
    threshold_of_caring,
)
from pipeline.analysis.sample_ratio import SampleRatio, Split, check_sample_ratios
from pipeline.analysis.shrinkage import Shrunk, base_rate, rank_arms

__all__ = ["Arm", "ArmStats", "Comparison", "Decision", "Design", "State", "decide_experiment"]

State = Literal[
    "collecting", "running", "winner", "either_of", "no_difference", "harmful", "invalid"
]

# rules.md R14.
MOST_CONFLICTING = 0.01


@dataclass(frozen=True)
class Decision:
    """One look at one experiment: what stands, why, and all that the next look needs.

    Effect, interval, lift and p-value are those of the comparison that matters most: the winner (or
    the best arm) with the control, or with its closest rival when it is the control itself. `best`
    says how good each competing arm probably is, once all are burned in; it decides nothing.
    """

    state: State
    winner: str | None
    reason: str
    either_of: tuple[str, ...]
    control: str | None
    n: int
    n_assigned: int
    effect: float | None
    interval: tuple[float, float] | None
    relative_lift: float | None
    shrunk: Shrunk | None
    best: dict[str, Best]
    p_value: float
    sample_ratio: SampleRatio
    comparisons: tuple[Comparison, ...]
    evidence: dict[str, Any]


class _Outcome(NamedTuple):
    """State, winner and reason."""

    state: State
    winner: str | None
    reason: str


@dataclass(frozen=True)
class Case:
    """One experiment at one look.

    Attributes:
        design: the rule, fixed before the first look.
        arms: all arms by rank, the held-out group included, with matured statistics.
        pairs: what this look says of every two of them.
        before: the `evidence` of the look before; none at the first look.
        conflicting_units: leads seen in two arms, excluded from the statistics.
        exposures: bad events of every arm so far, by guardrail; an arm that does harm cannot win.
        lost: matured leads of each arm whose message never went out, where no arm should lose more.
        caveat: what has to be said beside every reason; empty if there is nothing.
    """

    design: Design
    arms: Sequence[Arm]
    pairs: Sequence[Comparison] = ()
    before: Mapping[str, Any] = field(default_factory=dict)
    conflicting_units: int = 0
    exposures: Mapping[str, Sequence[Exposure]] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    caveat: str = ""


@dataclass(frozen=True)
class _Facts:
    """What the states are told apart by."""

    design: Design
    arms: Sequence[Arm]
    pairs: Sequence[Comparison]
    tops: tuple[str, ...]
    ratio: SampleRatio
    conflicting_units: int
    before: Mapping[str, Any]
    exposures: Mapping[str, Sequence[Exposure]]
    watches: list[Watch]
    harm: dict[str, str]
    lost: SampleRatio | None
    caveat: str

    @property
    def competing(self) -> list[Arm]:
        """Arms that can win; the control first."""
        return [arm for arm in self.arms if arm.competes and arm.name not in self.harm]

    @property
    def stopped(self) -> list[str]:
        """Arms that no further lead should get; nobody would be left without the control."""
        return [arm for arm in self.harm if arm != self.design.control]

    @property
    def control(self) -> str | None:
        """The declared control, else the first competing arm."""
        return self.competing[0].name if self.competing else None

    @cached_property
    def best(self) -> dict[str, Best]:
        """How good each competing arm probably is; nothing before all are burned in."""
        arms = [arm.stats for arm in self.competing]
        if not arms or not all(arm.is_burned_in and arm.variance > 0 for arm in arms):
            return {}
        ranked = rank_arms(arms, self.design.prior.spread * base_rate(arms))
        return {arm.name: best for arm, best in zip(self.competing, ranked, strict=True)}

    @property
    def cheap(self) -> str | None:
        """The arm that costs less than is cared about, where the rule asks for it."""
        return arm_that_costs_little(self.design, self.competing, self.best)

    def headline(self, winner: str | None) -> Comparison | None:
        """Return the comparison that the decision is told by."""
        return find_headline(self.pairs, self.control, winner)


def decide_experiment(
    design: Design,
    arms: Sequence[Arm],
    *,
    previous: Mapping[str, Any] | None = None,
    conflicting_units: int = 0,
    exposures: Mapping[str, Sequence[Exposure]] | None = None,
    lost: Mapping[str, int] | None = None,
    caveat: str = "",
) -> Decision:
    """Take one look at one experiment: compare all arms on matured leads and name the state.

    Call it once a day: every call is a look that spends error. Arguments are those of `Case`, the
    arms in any order.
    """
    before = previous or {}
    ordered = order_arms(arms, design.control)
    pairs = compare_arms(design, ordered, before.get("pairs", ()))
    case = Case(
        design, ordered, pairs, before, conflicting_units, exposures or {}, lost or {}, caveat
    )
    return decide_cases([case])[0]


def decide_cases(cases: Sequence[Case]) -> list[Decision]:
    """Name the state of every experiment.

    A winner is the arm that is beyond the boundary against every other competing arm at one look;
    once named it stays (rules.md R15). Harm comes before everything; a broken split, leads lost
    unevenly, or more than 1 % of the leads in two arms, come before any winner.
    """
    watches = watch_experiments([case.exposures for case in cases])
    harms = [_harm(case, found) for case, found in zip(cases, watches, strict=True)]
    splits = [_split(case.arms, harm) for case, harm in zip(cases, harms, strict=True)]
    lost = [_lost(case) for case in cases]
    ratios = check_sample_ratios(splits)
    losses = iter(check_sample_ratios([split for split in lost if split]))
    return [
        _decide(
            _Facts(
                design=case.design,
                arms=case.arms,
                pairs=case.pairs,
                tops=find_top_arms(
                    [arm for arm in case.arms if arm.competes and arm.name not in harm], case.pairs
                ),
                ratio=ratio,
                conflicting_units=case.conflicting_units,
                before=case.before,
                exposures=case.exposures,
                watches=watched,
                harm=harm,
                lost=next(losses) if split else None,
                caveat=case.caveat,
            )
        )
        for case, watched, harm, ratio, split in zip(
            cases, watches, harms, ratios, lost, strict=True
        )
    ]


def _decide(facts: _Facts) -> Decision:
    outcome = _harmed(facts) or _kept(facts) or _new_outcome(facts)
    headline = facts.headline(outcome.winner)
    interval = None
    if headline and headline.interval_low is not None and headline.interval_high is not None:
        interval = (headline.interval_low, headline.interval_high)
    return Decision(
        state=outcome.state,
        winner=outcome.winner,
        reason=f"{outcome.reason}.{_guarded(facts, outcome)}",
        either_of=facts.tops if outcome.state == "either_of" else (),
        control=facts.control,
        n=sum(arm.stats.n for arm in facts.arms),
        n_assigned=sum(arm.n_assigned for arm in facts.arms),
        effect=headline.effect if headline else None,
        interval=interval,
        relative_lift=headline.relative_lift if headline else None,
        shrunk=headline.shrunk if headline else None,
        best=facts.best,
        p_value=headline.p_value if headline else 1.0,
        sample_ratio=facts.ratio,
        comparisons=tuple(facts.pairs),
        evidence=_evidence(facts, outcome),
    )


def find_top_arms(arms: Sequence[Arm], pairs: Sequence[Comparison]) -> tuple[str, ...]:
    """Return the smallest group of which each arm is ahead of every arm outside it; () if none.

    One name is a winner; several are "either of these" (statistics.md 2.3).
    """
    beats = {
        (pair.favours, pair.arm if pair.favours == pair.baseline else pair.baseline)
        for pair in pairs
        if pair.favours
    }
    ranked = sorted(arms, key=lambda arm: (-arm.stats.mean, arm.name))
    names = [arm.name for arm in ranked]
    for size in range(1, len(names)):
        inside, outside = names[:size], names[size:]
        if all((a, b) in beats for a in inside for b in outside):
            return tuple(inside)
    return ()


def find_headline(
    pairs: Sequence[Comparison], control: str | None, winner: str | None
) -> Comparison | None:
    """Return the comparison a decision is told by, seen from the winner if there is one.

    Without a winner the best arm stands against the control; a winning control against its closest
    rival.
    """
    with_control = [
        pair for pair in pairs if pair.baseline == control and not pair.is_against_held_out
    ]
    won = [pair for pair in with_control if pair.arm == winner]
    if won:
        return won[0]
    ranked = sorted(
        with_control,
        key=lambda pair: (pair.effect is None, -(pair.effect or 0.0), pair.arm),
    )
    if not ranked:
        return None
    return turn_around(ranked[0]) if winner == control else ranked[0]


def _harm(case: Case, watches: Sequence[Watch]) -> dict[str, str]:
    """Return which arms do harm, and why; what was found before is not forgotten."""
    found = {watch.arm: watch.reason for watch in watches if watch.status == "harmful"}
    return {**found, **case.before.get("harm", {})}


def _split(arms: Sequence[Arm], harm: Mapping[str, str]) -> Split:
    """Return the split of all arms that go on: one that was stopped gets no leads any more."""
    going = [arm for arm in arms if arm.name not in harm]
    whole = sum(arm.share for arm in arms)
    scale = whole / sum(arm.share for arm in going) if harm and going else 1.0
    return Split(
        {arm.name: arm.n_assigned for arm in going},
        {arm.name: arm.share * scale for arm in going},
    )


def _lost(case: Case) -> Split | None:
    """Return how leads were lost on the way: evenly means by the leads of each arm."""
    sent = [arm for arm in case.arms if arm.competes and arm.stats.n]
    total = sum(arm.stats.n for arm in sent)
    if not case.lost or not total:
        return None
    return Split(
        {arm.name: case.lost.get(arm.name, 0) for arm in sent},
        {arm.name: arm.stats.n / total for arm in sent},
    )


def _harmed(facts: _Facts) -> _Outcome | None:
    """Name harm that ends the test; with two sound arms or more it goes on without the others."""
    if not facts.harm:
        return None
    is_over = (
        facts.design.control in facts.harm
        or facts.before.get("winner") in facts.harm
        or len(facts.competing) < len(("control", "rival"))
    )
    if not is_over:
        return None
    return _Outcome("harmful", None, reasons.harmful(facts.harm, facts.design.control))


def _guarded(facts: _Facts, outcome: _Outcome) -> str:
    """Return what is added to a reason: arms taken out, what is open about the winner, a caveat."""
    added = ""
    if facts.harm and outcome.state != "harmful":
        added += f" {reasons.taken_out(facts.harm)}."
    if outcome.winner:
        of_winner = [watch for watch in facts.watches if watch.arm == outcome.winner]
        added += reasons.guardrails_open(of_winner)
    return f"{added} {facts.caveat}" if facts.caveat else added


def _kept(facts: _Facts) -> _Outcome | None:
    """Keep an earlier winner, and say so when the evidence for it has weakened (rules.md R15)."""
    winner = facts.before.get("winner")
    if facts.before.get("state") != "winner" or not winner:
        return None
    headline = facts.headline(winner)
    found = reasons.measured(headline) if headline else "nothing to compare"
    alarm = _alarm(facts)
    if alarm:
        reason = f"{winner} was named before and stays; but its split is in doubt now. {alarm}"
    elif facts.tops == (winner,):
        reason = f"{winner} was named before and still beats every other arm. {found}"
    elif facts.cheap == winner:
        reason = f"{winner} was named before and stays. {_costs_little(facts, winner)}. {found}"
    else:
        reason = (
            f"{winner} was named before and stays; the evidence has weakened since and would not "
            f"name it today. {found}. A person decides whether to replace it"
        )
    return _Outcome("winner", winner, reason)


def _new_outcome(facts: _Facts) -> _Outcome:
    """Name the state of an experiment that has no winner yet."""
    alarm = _alarm(facts)
    if alarm:
        return _Outcome("invalid", None, alarm)
    lacking = _lacking(facts)
    if lacking:
        return _Outcome("collecting", None, lacking)
    headline = facts.headline(None)
    if headline is None:
        return _Outcome("running", None, "Only one arm competes, so there is no winner to name")
    if facts.tops:
        return _separated(facts)
    if facts.cheap:
        reason = f"{_costs_little(facts, facts.cheap)}. {reasons.measured(headline)}"
        return _Outcome("winner", facts.cheap, reason)
    return _undecided(facts, reasons.measured(headline))


def _alarm(facts: _Facts) -> str | None:
    """Return why the experiment cannot be trusted, if so."""
    units = sum(arm.n_assigned for arm in facts.arms) + facts.conflicting_units
    if facts.conflicting_units > MOST_CONFLICTING * units:
        return reasons.conflict_alarm(facts.conflicting_units, units)
    if facts.ratio.is_alarm:
        return reasons.split_alarm(facts.ratio)
    return reasons.lost_alarm(facts.lost) if facts.lost and facts.lost.is_alarm else None


def _lacking(facts: _Facts) -> str | None:
    """Return what is still missing before arms can be told apart, if anything is."""
    if not sum(arm.n_assigned for arm in facts.arms):
        return "No lead has been assigned yet"
    if min(facts.ratio.observed.values(), default=0) == 0:
        return "An arm with a declared share has no lead yet"
    cold = [arm for arm in facts.competing if not arm.stats.is_burned_in]
    if not cold:
        return None
    arm = min(cold, key=lambda each: (each.stats.n, each.stats.events, each.name))
    return reasons.collecting(facts.design.metric, arm)


def _separated(facts: _Facts) -> _Outcome:
    """Name the winner, or the arms of which either will do."""
    if len(facts.tops) == 1:
        winner = facts.tops[0]
        headline = facts.headline(winner)
        found = f". {reasons.measured(headline)}" if headline else ""
        return _Outcome("winner", winner, f"{winner} beats every other arm{found}")
    names = reasons.listed(facts.tops)
    return _Outcome(
        "either_of",
        None,
        f"Either of {names}: each beats the rest, but they cannot be told apart",
    )


def _undecided(facts: _Facts, found: str) -> _Outcome:
    """Tell a test that has used up its plan from one that goes on."""
    planned = facts.design.planned_leads
    n = sum(arm.stats.n for arm in facts.arms)
    if facts.design.mode == "planned" and planned and n >= planned:
        return _Outcome(
            "no_difference",
            None,
            f"The planned {planned:,} leads are in and no arm is ahead of all others; keep "
            f"{facts.control}. {found}{_equivalent(facts)}",
        )
    return _Outcome("running", None, f"No arm is ahead of all others yet. {found}")


def _costs_little(facts: _Facts, name: str) -> str:
    threshold = threshold_of_caring(facts.design, facts.competing) or 0.0
    return reasons.costs_little(facts.design, name, facts.best[name], threshold)


def _equivalent(facts: _Facts) -> str:
    """Return which arms are as good as the control, where the rule names a margin."""
    margin, (control, *others) = facts.design.margin, facts.competing
    if margin is None:
        return ""
    told = []
    for arm in others:
        p_value = equivalence_p(margin, arm.stats, control.stats, facts.design.metric)
        if p_value is not None:
            told.append(reasons.equivalent(arm.name, margin, p_value, facts.design.alpha))
    return "".join(f". {sentence}" for sentence in told)


def _evidence(facts: _Facts, outcome: _Outcome) -> dict[str, Any]:
    """Return what the next look needs and what a person needs to recompute this one."""
    return {
        "state": outcome.state,
        "winner": outcome.winner,
        "looks": int(facts.before.get("looks", 0)) + 1,
        "design": {**vars(facts.design), "prior": vars(facts.design.prior)},
        "arms": [{**vars(arm), "stats": vars(arm.stats)} for arm in facts.arms],
        "best": {name: arm._asdict() for name, arm in facts.best.items()},
        "pairs": [pair.evidence for pair in facts.pairs],
        "either_of": list(facts.tops) if outcome.state == "either_of" else [],
        "sample_ratio": vars(facts.ratio),
        "conflicting_units": facts.conflicting_units,
        "exposures": {
            metric: [vars(arm) for arm in arms] for metric, arms in facts.exposures.items()
        },
        "guardrails": [vars(watch) for watch in facts.watches],
        "harm": facts.harm,
        "stopped": facts.stopped,
        "lost": vars(facts.lost) if facts.lost else None,
        "caveat": facts.caveat,
    }
