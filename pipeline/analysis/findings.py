"""What the published tables say, in pieces that people read: funnels, experiment cards, curves.

Belongs here: short queries on marts and analysis, the words for their rows. Does not: deciding
(`experiments`), drawing (`charts`), pages (`review`). Every piece carries the SQL that gives it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from pipeline.analysis.arm_stats import LEAST_EVENTS, LEAST_LEADS
from pipeline.analysis.comparisons import is_money
from pipeline.analysis.delays import name_delay
from pipeline.analysis.pieces import Query, Rate, percent, percent_range
from pipeline.analysis.reasons import amount, difference, honest, listed
from pipeline.analysis.sample_ratio import ALARM_P
from pipeline.analysis.shrinkage import Prior

# What needs a person comes first.
STATES = {
    "invalid": "Invalid",
    "harmful": "Harmful",
    "winner": "Winner",
    "either_of": "Either of",
    "no_difference": "No difference",
    "running": "Running",
    "collecting": "Collecting",
}
NEEDS_MESSAGE = {"opened", "clicked", "replied", "unsubscribed"}
MILESTONES = (7, 14, 30, 60, 90, 150)
GROUPS = {"treated": "In the sequence", "held_out": "Held out"}

REFRESH = """
select refresh_id, refreshed_at, timezone, currency, driplab_version from meta.refresh
"""
TOTALS = """
select
    count(*) as count_leads,
    count(*) filter (where count_enrollments > 0) as count_enrolled,
    count(*) filter (where first_contacted_at is not null) as count_contacted,
    count(*) filter (where responded_at is not null) as count_responded,
    count(*) filter (where converted_at is not null) as count_converted,
    count(*) filter (where status = 'do_not_contact') as count_do_not_contact
from marts.leads
"""
FUNNEL_STAGES = """
with engaged as (
    select enrollment_id, bool_or(was_opened) as was_opened, bool_or(was_clicked) as was_clicked
    from marts.sends
    group by enrollment_id
)
select
    e.sequence_id,
    count(distinct lead_id) filter (where not is_holdout) as leads,
    count(*) filter (where not is_holdout) as enrolled,
    count(*) filter (where was_contacted) as contacted,
    count(*) filter (where was_contacted and was_opened) as opened,
    count(*) filter (where was_contacted and was_clicked) as clicked,
    count(*) filter (where was_replied and not is_holdout) as replied,
    count(*) filter (where was_converted and not is_holdout) as converted,
    count(*) filter (where is_holdout) as held_out,
    count(*) filter (where is_holdout and was_converted) as held_out_converted
from marts.enrollments as e
left join engaged using (enrollment_id)
group by e.sequence_id
order by e.sequence_id
"""
FUNNEL_STEPS = """
select
    step_id, variant, channel,
    cast(sum(count_entered) as bigint) as entered, cast(sum(count_sent) as bigint) as sent,
    cast(sum(count_opened) as bigint) as opened, cast(sum(count_clicked) as bigint) as clicked,
    cast(sum(count_replied) as bigint) as replied,
    cast(sum(count_converted) as bigint) as converted,
    cast(sum(count_skipped) as bigint) as skipped,
    cast(sum(count_postponed) as bigint) as postponed,
    cast(sum(count_refused + count_unknown) as bigint) as failed,
    cast(sum(count_held_out) as bigint) as held_out
from marts.funnel_steps
where sequence_id = $sequence_id
group by step_id, variant, channel
order by min(step_ix), step_id, variant, channel
"""
FUNNEL_DROPS = """
select step_id, ended_as as reason, cast(sum(count_enrollments) as bigint) as dropped
from marts.step_endings
where sequence_id = $sequence_id and is_dropped
group by step_id, ended_as
order by dropped desc, min(step_ix), ended_as
limit 10
"""
EXPERIMENTS = """
select
    e.*, d.state, d.winner, d.reason, d.looked_on, d.n, d.n_assigned, d.sample_ratio_p, d.evidence,
    d.effect, d.shrunk_effect, d.shrunk_low, d.shrunk_high, d.probability_best, d.expected_loss,
    d.prior_spread, d.prior_tests
from marts.experiments as e
left join analysis.experiment_decisions as d using (experiment_id)
order by e.experiment_id
"""
DECISION = """
select * exclude (evidence)
from analysis.experiment_decisions
where experiment_id = $experiment_id
"""
ARMS = """
select
    arm, role, max(share) as share, cast(sum(n_assigned) as bigint) as n_assigned,
    cast(sum(t.n) as bigint) as n, sum(t.sum) as total
from marts.experiment_arms as t
where experiment_id = $experiment_id and is_primary
group by arm, role
order by role = 'held_out', role != 'control', arm
"""
COMPARISONS = """
select
    metric, is_primary, arm, baseline, is_against_held_out, n_arm, n_baseline, mean_arm,
    mean_baseline, effect, interval_low, interval_high, relative_lift, shrunk_effect, shrunk_low,
    shrunk_high, probability_better, p_value, is_decisive
from analysis.experiment_comparisons
where experiment_id = $experiment_id
order by not is_primary, metric, is_against_held_out, baseline, arm
"""
DELAY_ADVICE = """
from analysis.delay_recommendations order by experiment_id, metric desc
"""
DELAY_ARMS = """
select arm, delay_seconds, n_assigned, n, count_replied, count_converted
from marts.delay_arms
where experiment_id = $experiment_id
order by delay_seconds, arm
"""
CURVES = """
select t.group, day, n_at_risk, count_reached, share, interval_low, interval_high
from analysis.conversion_curves as t
where sequence_id = $sequence_id and outcome = 'converted'
order by t.group desc, day
"""
OBSERVED = """
select
    sequence_id, is_holdout, count(*) as count_enrollments, max(duration_whole_days) as last_day
from marts.time_to_conversion
group by sequence_id, is_holdout
order by sequence_id, is_holdout
"""
SEND_QUALITY = """
select
    count(*) filter (where was_sent) as sent,
    count(*) filter (where was_delivered) as delivered,
    count(*) filter (where is_delivery_inferred) as inferred,
    count(*) filter (where was_opened_any) as opened_any,
    count(*) filter (where was_opened_any and not was_opened) as opened_by_machines_only,
    count(*) filter (where was_bounced) as bounced,
    count(*) filter (where was_complained) as complained,
    count(*) filter (where was_unsubscribed) as unsubscribed,
    count(*) filter (where status = 'refused') as refused,
    count(*) filter (where status = 'unknown') as unknown
from marts.sends
"""
ENROLLMENT_QUALITY = """
select
    count(*) as enrollments,
    count(*) filter (where was_won_before_contact) as won_before_contact,
    count(*) filter (where origin = 'import') as imported
from marts.enrollments
"""

TARGETS = """
select
    sender, metric, week, is_latest, numerator, denominator, rate, target, is_floor, is_met,
    is_surely_missed
from marts.targets
where is_complete
order by sender, metric, week
"""
TARGET_NAMES = {
    "delivery_rate_per_sent": ("Delivered", "messages sent"),
    "open_rate_per_delivered": ("Opened", "messages delivered"),
    "click_rate_per_delivered": ("Clicked", "messages delivered"),
    "bounce_rate_per_sent": ("Bounced", "messages sent"),
    "complaint_rate_per_delivered": ("Reported as spam", "messages delivered"),
}


@dataclass(frozen=True)
class Header:
    """Which facts a page is of."""

    refresh_id: str
    refreshed_at: datetime
    timezone: str
    currency: str
    driplab_version: str
    query: Query

    @property
    def local(self) -> datetime:
        """The moment of the facts in the workspace's zone."""
        return self.refreshed_at.astimezone(ZoneInfo(self.timezone))

    @property
    def week(self) -> str:
        """The ISO week of the facts, such as 2026-W47."""
        return f"{self.local:%G-W%V}"


@dataclass(frozen=True)
class Stage:
    """How many enrollments got this far; an interval only where it is people who decide."""

    name: str
    count: int
    rate: Rate
    is_reaction: bool = False


@dataclass(frozen=True)
class SequenceFunnel:
    """Where the enrollments of one sequence are lost.

    `drops` are the commonest pairs of last step and reason, of those that ended before they were
    through, without an answer and without a conversion.
    """

    sequence_id: str
    stages: tuple[Stage, ...]
    held_out: Rate
    steps: tuple[dict[str, Any], ...]
    drops: tuple[dict[str, Any], ...]
    sentence: str
    queries: tuple[Query, ...]


@dataclass(frozen=True)
class Interval:
    """A difference with the interval that holds at every look; None while nothing can be said."""

    label: str
    effect: float | None
    low: float | None
    high: float | None
    is_decisive: bool
    text: str


@dataclass(frozen=True)
class ExperimentCard:
    """One experiment: the question, the state in words, the evidence, what happens next."""

    experiment_id: str
    question: str
    state: str
    headline: str
    reason: str
    next_step: str
    honest: str
    metric: str
    progress: str
    split: str
    is_split_sound: bool
    arms: tuple[dict[str, Any], ...]
    versus_control: tuple[Interval, ...]
    versus_held_out: tuple[Interval, ...]
    held_out_metric: str
    secondary: tuple[dict[str, Any], ...]
    guardrails: tuple[dict[str, Any], ...]
    queries: tuple[Query, ...]

    @property
    def is_money(self) -> bool:
        """Whether the primary metric is an amount and not a share."""
        return is_money(self.metric)

    @property
    def differences(self) -> list[tuple[str, bool, tuple[Interval, ...]]]:
        """The two charts, as far as there is something in them: title, is it money, intervals."""
        charts = [
            ("Difference from the control", self.metric, self.versus_control),
            ("Difference from held-out leads", self.held_out_metric, self.versus_held_out),
        ]
        return [
            (f"{title}: {name_metric(metric)}", is_money(metric), intervals)
            for title, metric, intervals in charts
            if intervals
        ]


@dataclass(frozen=True)
class DelayCard:
    """What randomised delays say about how long to wait."""

    experiment_id: str
    advice: tuple[dict[str, Any], ...]
    arms: tuple[dict[str, Any], ...]
    queries: tuple[Query, ...]


@dataclass(frozen=True)
class CurvePoint:
    """Share converted by the end of a day, with its 95 % interval."""

    day: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """Time to conversion of one group, as steps that hold until the last observed day."""

    group: str
    count: int
    last_day: int
    points: tuple[CurvePoint, ...]

    def at_day(self, day: int) -> CurvePoint:
        """Return what is known for a day: the last step at or before it."""
        known = [point for point in self.points if point.day <= day]
        return known[-1] if known else CurvePoint(day, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class CurveCard:
    """The curves of one sequence, beside each other, and their values on a few days."""

    sequence_id: str
    curves: tuple[Curve, ...]
    milestones: tuple[dict[str, Any], ...]
    sentence: str
    queries: tuple[Query, ...]


@dataclass(frozen=True)
class Quality:
    """One thing to know before numbers are believed."""

    name: str
    rate: Rate
    meaning: str
    query: Query


@dataclass(frozen=True)
class TargetLine:
    """One rate of a sender's mail over its complete weeks, beside what it ought to be.

    Attributes:
        weeks: Monday and rate of each, the latest one last; None where there was nothing to count.
        rate: of the latest week.
    """

    sender: str
    name: str
    weeks: tuple[tuple[date, float | None], ...]
    target: float
    is_floor: bool
    rate: Rate
    verdict: str

    @property
    def target_text(self) -> str:
        """The target in words."""
        return f"at {'least' if self.is_floor else 'most'} {percent(self.target)}"


def header(con: duckdb.DuckDBPyConnection) -> Header:
    """Return which refresh the warehouse is of."""
    query = Query(REFRESH)
    (row,) = query.rows(con)
    return Header(**row, query=query)


def totals(con: duckdb.DuckDBPyConnection) -> tuple[dict[str, int], Query]:
    """Return how many leads there are and how far they got, over all sequences."""
    query = Query(TOTALS)
    (row,) = query.rows(con)
    return row, query


def funnel_table(con: duckdb.DuckDBPyConnection) -> list[SequenceFunnel]:
    """Return one funnel per sequence: enrolled, contacted, and what came of it."""
    count_leads = totals(con)[0]["count_leads"]
    return [_funnel(con, row, count_leads) for row in Query(FUNNEL_STAGES).rows(con)]


def _funnel(
    con: duckdb.DuckDBPyConnection, row: Mapping[str, Any], count_leads: int
) -> SequenceFunnel:
    enrolled, contacted = row["enrolled"], row["contacted"]
    stages = (
        Stage("Enrolled", enrolled, Rate(row["leads"], count_leads, "all leads")),
        Stage("Contacted", contacted, Rate(contacted, enrolled, "enrolled")),
        *(
            Stage(name.capitalize(), row[name], Rate(row[name], of, what), is_reaction=True)
            for name, of, what in (
                ("opened", contacted, "contacted"),
                ("clicked", contacted, "contacted"),
                ("replied", enrolled, "enrolled"),
                ("converted", enrolled, "enrolled"),
            )
        ),
    )
    values = {"sequence_id": row["sequence_id"]}
    of_steps, of_drops = Query(FUNNEL_STEPS, values), Query(FUNNEL_DROPS, values)
    return SequenceFunnel(
        sequence_id=row["sequence_id"],
        stages=stages,
        held_out=Rate(row["held_out_converted"], row["held_out"], "held out"),
        steps=tuple(_step(step) for step in of_steps.rows(con)),
        drops=tuple(
            drop | {"rate": Rate(drop["dropped"], enrolled, "enrolled")}
            for drop in of_drops.rows(con)
        ),
        sentence=largest_loss(stages),
        queries=(Query(TOTALS), Query(FUNNEL_STAGES), of_steps, of_drops),
    )


def _step(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a step with its rates, all of messages sent."""
    names = ("opened", "clicked", "replied", "converted")
    rates: dict[str, Rate | None] = {name: Rate(row[name], row["sent"], "sent") for name in names}
    # Nobody is told when a text message is opened: no rate, instead of a rate of 0.
    if row["channel"] == "sms":
        rates["opened"] = None
    return {**row, "rates": rates}


def largest_loss(stages: Sequence[Stage]) -> str:
    """Return between which two stages most are lost, with the interval of who goes on.

    Looked for from enrolled to clicked only: replies and conversions do not need a click.
    """
    chain = [stage for stage in stages if stage.name not in {"Replied", "Converted"}]
    steps = [
        (before.name.lower(), after.name.lower(), Rate(after.count, before.count, ""))
        for before, after in pairwise(chain)
        if before.count
    ]
    if not steps:
        return "Nobody is enrolled yet."
    before, after, rate = max(steps, key=lambda step: step[2].of - step[2].count)
    lost = rate.of - rate.count
    if lost == 0:
        return f"Nobody is lost: all {rate.of:,} got as far as {after}."
    return (
        f"Most are lost between {before} and {after}: {lost:,} of {rate.of:,}. "
        f"{rate.text} go on (95\N{NO-BREAK SPACE}% interval {rate.interval_text})."
    )


def experiment_cards(con: duckdb.DuckDBPyConnection) -> list[ExperimentCard]:
    """Return one card per experiment; what needs a person comes first."""
    cards = [_card(con, row) for row in Query(EXPERIMENTS).rows(con)]
    order = list(STATES)
    return sorted(cards, key=lambda card: (order.index(card.state), card.experiment_id))


def _card(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> ExperimentCard:
    values = {"experiment_id": str(row["experiment_id"])}
    of_arms, of_pairs = Query(ARMS, values), Query(COMPARISONS, values)
    pairs = of_pairs.rows(con)
    primary = [pair for pair in pairs if pair["is_primary"]]
    evidence = json.loads(row["evidence"] or "{}")
    state = row["state"] or "collecting"
    held_out = [pair for pair in pairs if pair["is_against_held_out"]]
    # Nobody opens or clicks a message that was never sent: that difference would say nothing.
    held_out_metric = next(
        (pair["metric"] for pair in held_out if pair["metric"] not in NEEDS_MESSAGE), ""
    )
    return ExperimentCard(
        experiment_id=values["experiment_id"],
        question=ask(row),
        state=state,
        headline=_headline(state, row["winner"], evidence.get("either_of", [])),
        reason=row["reason"] or "No look was taken yet.",
        next_step=next_step(state, row),
        honest=_expect(row),
        metric=row["metric"],
        progress=_progress(row),
        split=_split(row["sample_ratio_p"], evidence.get("sample_ratio", {})),
        is_split_sound=state != "invalid",
        arms=tuple(
            {**_arm(arm, row), "best_text": _chances(arm["arm"], evidence)}
            for arm in of_arms.rows(con)
        ),
        versus_control=tuple(
            _interval(pair)
            for pair in primary
            if pair["baseline"] == row["control"] and not pair["is_against_held_out"]
        ),
        versus_held_out=tuple(
            _interval(pair) for pair in held_out if pair["metric"] == held_out_metric
        ),
        held_out_metric=held_out_metric,
        secondary=tuple(
            {**pair, "words": name_metric(pair["metric"]), "found": _interval(pair)}
            for pair in pairs
            if not pair["is_primary"] and pair["baseline"] == row["control"]
        ),
        guardrails=tuple(_guardrail(watch) for watch in evidence.get("guardrails", [])),
        queries=(Query(DECISION, values), of_arms, of_pairs),
    )


def name_metric(metric: str) -> str:
    """Return what a metric counts, in words."""
    kind, _, name = metric.removesuffix(")").partition("(")
    return {
        "replied": "leads that reply",
        "clicked": "leads that click",
        "opened": "leads that open",
        "unsubscribed": "leads that unsubscribe",
        "goal": f"leads that reach the goal {name}",
        "revenue": f"revenue per lead from {name}",
        "capped_revenue": f"revenue per lead from {name} (large sums capped)",
        "custom": f"leads with a {name}",
    }.get(kind, metric)


def ask(row: Mapping[str, Any]) -> str:
    """Return the question that an experiment asks, from its row of marts.experiments."""
    what = {
        "content": "Which text",
        "delay": "Which delay",
        "send_time": "Which hours",
        "channel": "Which channel",
    }.get(row["varies"], "Which arm")
    place = f" of step {row['step_id']}" if row["step_id"] else ""
    sequence = f" in {row['sequence_id']}" if row["sequence_id"] else ""
    subject = f"{what}{place}{sequence}" if place else f"Which arm{sequence}"
    more = name_metric(row["metric"])
    return f"{subject} brings more {more} within {name_delay(row['window_seconds'])}?"


def _headline(state: str, winner: str | None, either_of: Sequence[str]) -> str:
    if state == "winner":
        return f"Winner: {winner}"
    if state == "either_of":
        return f"Either of {listed(either_of)}"
    return STATES[state]


def next_step(state: str, row: Mapping[str, Any]) -> str:
    """Return what happens after this look, and who does it."""
    if row["origin"] == "import":
        return "Nothing: it is imported history, and serves to learn from."
    ruled = _ruled(row)
    if ruled:
        return ruled
    if state == "winner" and row["is_auto"]:
        return (
            f"Applied by itself: the engine gives {row['winner']} to every lead that is drawn from "
            "the look that named it on. Nobody has to do anything."
        )
    goes_on = "It goes on by itself, with one look a day."
    if row["is_auto"]:
        goes_on += " A winner will be applied by itself."
    else:
        goes_on += " When there is a winner, a person decides."
    return {
        "winner": f"A person decides: `drip promote {row['experiment_id']}` writes {row['winner']} "
        "into the step and takes the experiment out of the file.",
        "either_of": "A person decides: take the simpler of these arms, and end the experiment.",
        "no_difference": f"Keep {row['control']}. A person ends the experiment, or tries something "
        "bolder under a new id.",
        "harmful": "A person takes the harmful arm out of the file."
        + (" Until then no further lead gets it." if row["is_auto"] else ""),
        "invalid": "No winner can be named. A person finds out where leads were lost or added, and "
        "starts again under a new id.",
    }.get(state, goes_on)


def _ruled(row: Mapping[str, Any]) -> str:
    """Return what a person ruled, and how it ends; empty when nobody did."""
    name = row["experiment_id"]
    if row["declared_arm"] is not None:
        return (
            f"A person declared {row['declared_arm']} the winner on {row['declared_at']:%Y-%m-%d}: "
            f"every lead that is drawn since gets it, and is not counted. `drip promote {name}` "
            "writes it into the step."
        )
    if row["paused_at"] is not None:
        return (
            f"A person paused it on {row['paused_at']:%Y-%m-%d}: leads that come since get the "
            f"control, and are not counted. `drip resume experiment {name}` lets it go on."
        )
    return ""


def _guardrail(watch: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a guardrail says of an arm, for a table."""
    rate = Rate(watch["count"], watch["n"], "leads drawn")
    return {**watch, "rate": rate}


def _expect(row: Mapping[str, Any]) -> str:
    """Return what is honest to expect of the headline's effect; empty before burn-in."""
    if row["shrunk_effect"] is None:
        return ""
    found = (row["shrunk_effect"], row["shrunk_low"], row["shrunk_high"])
    prior = Prior(row["prior_spread"], row["prior_tests"])
    return honest(row["metric"], row["effect"], found, prior)


def _chances(arm: str, evidence: Mapping[str, Any]) -> str:
    """Return the probability that an arm is the best, as text; empty before burn-in."""
    best = evidence.get("best", {}).get(arm)
    return percent(best["probability"]) if best else ""


def _progress(row: Mapping[str, Any]) -> str:
    n, assigned = row["n"] or 0, row["n_assigned"] or 0
    window = name_delay(row["window_seconds"])
    text = f"{assigned:,} leads drawn, {n:,} of them observed for their whole {window}"
    if row["planned_leads"] and row["mode"] == "planned":
        text += f"; {percent(n / row['planned_leads'])} of the planned {row['planned_leads']:,}"
    if row["count_conflicting_units"]:
        text += f"; {row['count_conflicting_units']:,} seen in two arms and left out"
    return f"{text}."


def _split(p_value: float | None, ratio: Mapping[str, Any]) -> str:
    """Return whether the leads were split as declared, over all groups."""
    observed = ratio.get("observed", {})
    if p_value is None or not sum(observed.values()):
        return "No lead is drawn yet, so the split cannot be checked."
    groups = listed([f"{count:,} {arm}" for arm, count in observed.items()])
    how = "NOT as declared" if ratio["is_alarm"] else "as declared"
    return f"Split {how}: {groups} (p = {p_text(p_value)}, alarm below {ALARM_P})."


def p_text(p_value: float) -> str:
    """Return a p-value with four decimals."""
    return f"{p_value:.4f}" if p_value >= 1e-4 else "below 0.0001"  # noqa: PLR2004


def _arm(arm: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of an arm with its mean in words."""
    n, metric = arm["n"], row["metric"]
    words = {"mean": amount(metric, arm["total"] / n) if n else "–", "interval": ""}
    if not is_money(metric):
        rate = Rate(round(arm["total"]), n, "matured leads")
        words = {"mean": rate.text, "interval": rate.interval_text}
    total = f"{arm['total']:,.2f}" if is_money(metric) else f"{arm['total']:,.0f}"
    return {
        **arm,
        **words,
        "total_text": total,
        "share_text": percent(arm["share"]),
        "is_winner": arm["arm"] == row["winner"],
        "role_text": arm["role"].replace("_", " "),
    }


def _interval(pair: Mapping[str, Any]) -> Interval:
    """Return a comparison for a table or a chart."""
    metric, effect = pair["metric"], pair["effect"]
    baseline = "held-out leads" if pair["is_against_held_out"] else pair["baseline"]
    low, high = pair["interval_low"], pair["interval_high"]
    text = "cannot be compared yet"
    if effect is not None:
        text = difference(metric, effect)
        if low is None or high is None:
            text += (
                f", no interval before {LEAST_LEADS} leads and {LEAST_EVENTS} outcomes in each arm"
            )
        else:
            bounds = [difference(metric, value).split(" ")[0] for value in (low, high)]
            text += f" ({bounds[0]} to {bounds[1]})"
    return Interval(
        label=f"{pair['arm']} against {baseline}",
        effect=effect,
        low=low,
        high=high,
        is_decisive=pair["is_decisive"],
        text=text,
    )


def delay_cards(con: duckdb.DuckDBPyConnection) -> list[DelayCard]:
    """Return the advice of every delay experiment, with the delays it compared."""
    query = Query(DELAY_ADVICE)
    cards = []
    for experiment_id, rows in groupby(query.rows(con), key=lambda row: str(row["experiment_id"])):
        of_arms = Query(DELAY_ARMS, {"experiment_id": experiment_id})
        cards.append(
            DelayCard(
                experiment_id=experiment_id,
                advice=tuple(rows),
                arms=tuple(_delay_arm(arm) for arm in of_arms.rows(con)),
                queries=(query, of_arms),
            )
        )
    return cards


def _delay_arm(arm: Mapping[str, Any]) -> dict[str, Any]:
    seconds = arm["delay_seconds"]
    return {
        **arm,
        "delay": "–" if seconds is None else name_delay(seconds),
        "replied": Rate(arm["count_replied"], arm["n"], "matured leads"),
        "converted": Rate(arm["count_converted"], arm["n"], "matured leads"),
    }


def curve_cards(con: duckdb.DuckDBPyConnection) -> list[CurveCard]:
    """Return the time to conversion of every sequence in which somebody has converted."""
    observed = Query(OBSERVED)
    cards = []
    for sequence_id, rows in groupby(observed.rows(con), key=lambda row: str(row["sequence_id"])):
        query = Query(CURVES, {"sequence_id": sequence_id})
        points = query.rows(con)
        curves = tuple(
            _curve("held_out" if row["is_holdout"] else "treated", row, points) for row in rows
        )
        if points:
            cards.append(
                CurveCard(
                    sequence_id=sequence_id,
                    curves=curves,
                    milestones=_milestones(curves),
                    sentence=_curve_sentence(curves),
                    queries=(query, observed),
                )
            )
    return cards


def _curve(group: str, row: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> Curve:
    return Curve(
        group=group,
        count=row["count_enrollments"],
        last_day=row["last_day"],
        points=tuple(
            CurvePoint(
                point["day"],
                point["share"],
                point["interval_low"],
                point["interval_high"],
            )
            for point in points
            if point["group"] == group
        ),
    )


def _milestones(curves: Sequence[Curve]) -> tuple[dict[str, Any], ...]:
    """Return the share converted on the milestones that somebody was observed for."""
    return tuple(
        {"day": day, "shares": [_by_day(curve, day) for curve in curves]}
        for day in MILESTONES
        if day <= max(curve.last_day for curve in curves)
    )


def _by_day(curve: Curve, day: int) -> str:
    if day > curve.last_day:
        return "not observed yet"
    point = curve.at_day(day)
    if not point.share:
        return percent(0)
    return f"{percent(point.share)} ({percent_range(point.low, point.high)})"


def _curve_sentence(curves: Sequence[Curve]) -> str:
    """Return what the curves say on the last milestone that all groups were observed for."""
    last = min(curve.last_day for curve in curves)
    day = max((day for day in MILESTONES if day <= last), default=last)
    words = [f"{_by_day(curve, day)} {GROUPS[curve.group].lower()}" for curve in curves]
    return f"By day {day}: {listed(words)} had converted."


def target_lines(con: duckdb.DuckDBPyConnection) -> tuple[list[TargetLine], Query]:
    """Return each rate with a target, by sender; none before a sender's first complete week."""
    query = Query(TARGETS)
    groups = groupby(query.rows(con), key=lambda row: (row["sender"], row["metric"]))
    return [_target_line(list(rows)) for _, rows in groups], query


def _target_line(rows: Sequence[Mapping[str, Any]]) -> TargetLine:
    latest = rows[-1]
    name, denominator = TARGET_NAMES[latest["metric"]]
    if latest["is_met"] is None:
        verdict = "nothing to count"
    elif latest["is_met"]:
        verdict = "as wanted"
    else:
        verdict = "missed" if latest["is_surely_missed"] else "missed, but it may be chance"
    return TargetLine(
        sender=latest["sender"],
        name=name,
        weeks=tuple((row["week"], row["rate"]) for row in rows),
        target=latest["target"],
        is_floor=latest["is_floor"],
        rate=Rate(latest["numerator"], latest["denominator"], denominator),
        verdict=verdict,
    )


def quality_checks(con: duckdb.DuckDBPyConnection) -> list[Quality]:
    """Return what to know of the messages and enrollments before their numbers are believed."""
    of_sends, of_enrollments = Query(SEND_QUALITY), Query(ENROLLMENT_QUALITY)
    (sends,), (enrollments,) = of_sends.rows(con), of_enrollments.rows(con)
    sent, count = sends["sent"], enrollments["enrollments"]
    checks = [
        ("Opened by machines only", "opened_by_machines_only", sends["opened_any"],
         "messages opened by anybody", "Mail privacy proxies and scanners; no rate counts them."),
        ("Delivery inferred", "inferred", sends["delivered"], "messages delivered",
         "No receipt came; nothing bounced within 72 hours."),
        ("Bounced", "bounced", sent, "messages sent", "The address was refused for good."),
        ("Reported as spam", "complained", sent, "messages sent",
         "Providers ask for less than 0.3\N{NO-BREAK SPACE}%."),
        ("Unsubscribed", "unsubscribed", sent, "messages sent", "Through this very message."),
        ("Unknown", "unknown", sent + sends["unknown"], "messages sent or unknown",
         "Nobody knows whether they were handed over; they are never sent again by machine."),
        ("Refused", "refused", sent + sends["refused"], "messages sent or refused",
         "The provider would not take them."),
    ]  # fmt: skip
    return [
        *(
            Quality(name, Rate(sends[column], of, what), meaning, of_sends)
            for name, column, of, what, meaning in checks
        ),
        Quality(
            "Won before contact",
            Rate(enrollments["won_before_contact"], count, "enrollments"),
            "Converted before enrollment: in no conversion rate, day 0 of the curves.",
            of_enrollments,
        ),
        Quality(
            "Imported history",
            Rate(enrollments["imported"], count, "enrollments"),
            "Brought from another tool: counted, never contacted from here.",
            of_enrollments,
        ),
    ]
