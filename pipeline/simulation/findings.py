"""What the ring found, held against what is true: the summary of a demo.

Belongs here: reading published tables and the ledger's accounts, one finding per question.
Does not: the truth's arithmetic (`truth`), how the summary looks on a terminal (`cli`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb

from pipeline.engine.status import count_outcomes
from pipeline.ledger.store import open_ledger
from pipeline.settings import Settings
from pipeline.simulation.market import Market
from pipeline.simulation.truth import Truth
from pipeline.warehouse.read import query

_DAY = 86_400
# Half the width of what a sample of this size may miss by, in standard errors.
_SURE = 3.0


@dataclass(frozen=True)
class Finding:
    """One question, the ring's answer, and the truth."""

    what: str
    found: str
    truth: str
    is_right: bool


@dataclass(frozen=True)
class DemoReport:
    """What a demo did and found.

    Attributes:
        planned: decisions about planned steps; always the sum of `outcomes`.
        double_sends: messages that arrived more than once, or steps sent twice.
        unwanted: messages to people who had left, answered or bought before.
        reactions: requests that the market made, new leads and repeated deliveries apart.
        seconds: real time by part; everything else is the same for the same seed.
    """

    leads: int
    messages: int
    reactions: int
    ticks: int
    refreshes: int
    planned: int
    outcomes: dict[str, int]
    double_sends: int
    unwanted: int
    findings: tuple[Finding, ...]
    ended_at: datetime
    seconds: dict[str, float]

    @property
    def is_accounted(self) -> bool:
        """Whether every planned step has become exactly one thing."""
        return self.planned == sum(self.outcomes.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        ended_at = self.ended_at.isoformat()
        return {**asdict(self), "ended_at": ended_at, "is_accounted": self.is_accounted}


def write_report(
    settings: Settings,
    market: Market,
    counts: Mapping[str, int],
    seconds: Mapping[str, float],
    message_ids: Counter[str],
) -> DemoReport:
    """Read what was found and hold it against the truth.

    Args:
        settings: the demo's workspace, with a published warehouse.
        market: whose truth it is.
        counts: of the loop.
        seconds: of the loop, by part.
        message_ids: how often each message arrived.
    """
    with open_ledger(settings.home, read_only=True) as con:
        planned, outcomes = count_outcomes(con)
        double_sends = _count_double_sends(con, message_ids)
        accounts = [
            _messages(con, message_ids.total()),
            _events(con, counts, market.counts["turned_away"]),
            _machines(con, counts, "opened"),
            _machines(con, counts, "clicked"),
        ]
        applied_at = _applied_at(con)
    unwanted = market.counts["unwanted"]
    findings = (
        _subject(settings, market.truth, applied_at),
        _delay(settings, market.truth),
        _lift(settings, market.truth),
        *accounts,
        Finding("messages sent twice", f"{double_sends:,}", "0", double_sends == 0),
        Finding("messages after a goodbye", f"{unwanted:,}", "0", unwanted == 0),
    )
    return DemoReport(
        leads=counts["leads"],
        messages=message_ids.total(),
        reactions=counts["reactions"],
        ticks=counts["ticks"],
        refreshes=counts["refreshes"],
        planned=planned,
        outcomes=outcomes,
        double_sends=double_sends,
        unwanted=unwanted,
        findings=findings,
        ended_at=market.ends_at,
        seconds={name: round(value, 2) for name, value in seconds.items()},
    )


# --- what the statistics say ----------------------------------------------------------------------


def _subject(settings: Settings, truth: Truth, applied_at: Mapping[str, str]) -> Finding:
    rows = query(
        settings.home,
        "select state, winner from analysis.experiment_decisions "
        "where experiment_id = 'welcome_subject'",
    ).to_dicts()
    state, winner = (rows[0]["state"], rows[0]["winner"]) if rows else ("collecting", None)
    arms = query(
        settings.home,
        "select arm, sum(sum) / sum(n) as rate from marts.experiment_arms "
        "where experiment_id = 'welcome_subject' and is_primary and role != 'held_out' "
        "group by arm having sum(n) > 0",
    )
    rates = dict(arms.iter_rows())
    since = applied_at.get("welcome_subject")
    shown = f"{winner or state}{_in_brackets(rates)}" + (f", sent since {since}" if since else "")
    true_rates = {appeal.arm: truth.click_rate(appeal.arm) for appeal in truth.appeals}
    return Finding(
        "subject that makes people click",
        shown,
        f"{truth.best_subject}{_in_brackets(true_rates)}",
        winner == truth.best_subject,
    )


def _delay(settings: Settings, truth: Truth) -> Finding:
    rows = query(
        settings.home,
        "select state, recommended_delay_seconds as seconds from analysis.delay_recommendations "
        "where experiment_id = 'question_delay' and metric = 'replied'",
    ).to_dicts()
    arms = query(
        settings.home,
        "select delay_seconds, count_replied / n as rate from marts.delay_arms "
        "where experiment_id = 'question_delay' and n > 0",
    )
    rates = {_days(seconds): rate for seconds, rate in arms.iter_rows()}
    seconds = rows[0]["seconds"] if rows else None
    state = rows[0]["state"] if rows else "collecting"
    found = f"wait {_days(seconds)}" if seconds else state
    true_rates = {_days(days * _DAY): truth.answer_rate(days * _DAY) for days in (1, 3)}
    best = max((1, 3), key=lambda days: truth.answer_rate(days * _DAY)) * _DAY
    return Finding(
        "wait before the question",
        f"{found}{_in_brackets(rates)}",
        f"wait {_days(best)}{_in_brackets(true_rates)}",
        seconds == best,
    )


def _lift(settings: Settings, truth: Truth) -> Finding:
    rows = query(
        settings.home,
        "select role = 'held_out', sum(n)::double, sum(sum), any_value(e.window_seconds) "
        "from marts.experiment_arms as a inner join marts.experiments as e using (experiment_id) "
        "where experiment_id = 'welcome_subject' and a.metric = 'goal(sale)' "
        "group by 1 having sum(n) > 0",
    )
    groups = {held_out: (n, bought) for held_out, n, bought, _ in rows.iter_rows()}
    window = next((row[3] for row in rows.iter_rows()), 3 * _DAY)
    true = truth.lift(window)
    truth_text = f"{true * 100:+.1f} points"
    what = f"lift of contact on sales in {_days(window)}"
    if len(groups) < 2:  # noqa: PLR2004 - a contacted and a held-out group
        return Finding(what, "collecting", truth_text, is_right=False)
    (n, bought), (held_n, held_bought) = groups[False], groups[True]
    rate, held_rate = bought / n, held_bought / held_n
    error = (rate * (1 - rate) / n + held_rate * (1 - held_rate) / held_n) ** 0.5
    found = rate - held_rate
    shown = f"{found * 100:+.1f} points ({_percent(rate)} against {_percent(held_rate)} held out)"
    return Finding(what, shown, truth_text, abs(found - true) <= _SURE * error)


# --- what the accounts say ------------------------------------------------------------------------


def _messages(con: duckdb.DuckDBPyConnection, arrived: int) -> Finding:
    sent = _number(con, "select count(*) from send_status where status = 'handed_over'")
    return Finding("messages handed over", f"{sent:,}", f"{arrived:,}", sent == arrived)


def _events(con: duckdb.DuckDBPyConnection, counts: Mapping[str, int], turned_away: int) -> Finding:
    found = _number(con, "select count(*) from events")
    # A server that knows no such address says so at the hand-over; nobody reports it afterwards.
    true = counts["reactions"] - counts["machine_fetched"] + turned_away
    return Finding("events", f"{found:,}", f"{true:,}", found == true)


def _machines(con: duckdb.DuckDBPyConnection, counts: Mapping[str, int], kind: str) -> Finding:
    rows = con.execute(
        "select verdict = 'machine', count(*) from events where kind = ? group by 1", [kind]
    ).fetchall()
    found = dict(rows)
    share = _share(found.get(True, 0), found.get(False, 0))
    true = _share(counts[f"machine_{kind}"], counts[f"human_{kind}"])
    return Finding(
        f"machines among those who {kind}",
        _percent(share),
        _percent(true),
        abs(share - true) <= 0.01,  # noqa: PLR2004 - one point: few scans can be told from nothing
    )


def _count_double_sends(con: duckdb.DuckDBPyConnection, message_ids: Counter[str]) -> int:
    arrived_again = sum(count - 1 for count in message_ids.values())
    in_ledger = _number(
        con,
        "select count(*) - count(distinct (enrollment_id, step_ix)) from send_status "
        "where status in ('handed_over', 'unknown')",
    )
    return arrived_again + in_ledger


def _applied_at(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the days since which winners are sent, by experiment."""
    rows = con.execute(
        "select experiment_id, strftime(min(applied_at), '%d %b') from looks "
        "where applied_at is not null group by experiment_id"
    ).fetchall()
    return dict(rows)


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _share(part: int, rest: int) -> float:
    return part / (part + rest) if part + rest else 0.0


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _in_brackets(rates: Mapping[str, float]) -> str:
    ranked = sorted(rates.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{name} {_percent(rate)}" for name, rate in ranked)
    return f" ({listed})" if listed else ""


def _days(seconds: float) -> str:
    days = timedelta(seconds=seconds) / timedelta(days=1)
    return "1 day" if days == 1 else f"{days:g} days"
