"""The engine on stage: it lives through a universe, and its ledger is read as plain rows."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb

from pipeline.engine.dispatch import Order
from pipeline.engine.pauses import Target, pause, resume, resume_enrollment
from pipeline.engine.status import count_outcomes
from pipeline.engine.tick import Run, TickReport, load_files
from pipeline.inbound.landing import append_lines, landing_line
from pipeline.ledger.store import ledger_path
from pipeline.settings import DripError, Settings, load_keys
from pipeline.warehouse.paths import warehouse_path
from tests.reference.interpreter import Names
from tests.reference.worlds import (
    SAID,
    Beat,
    Happening,
    Universe,
    World,
    change_record,
    event_record,
    instant_text,
    is_reached,
    lead_record,
    occurred_at,
    received_at,
    request_record,
    write_sequence,
    write_workspace,
)

Rows = dict[str, list[tuple[Any, ...]]]
LONGEST_WAIT = timedelta(days=12)

# One query for each table that the interpreter gives rows of, in the same columns.
QUERIES = {
    "enrollments": """
        with versions as (
            select version_id,
                row_number() over (partition by sequence_id order by version_id) - 1 as version_no
            from sequence_versions
        )
        select n.name, e.sequence_id, e.enrolled_at, v.version_no, e.is_holdout, e.entry_no,
            e.enrolled_by, e.starts_at
        from enrollments as e inner join versions as v using (version_id)
        inner join names as n using (lead_id)
    """,
    "ends": """
        select n.name, e.sequence_id, x.ended_at, x.status, x.reason
        from enrollment_ends as x inner join enrollments as e using (enrollment_id)
        inner join names as n using (lead_id)
    """,
    "pauses": """
        select n.name, e.sequence_id, p.paused_at, p.resumed_at, p.reason
        from enrollment_pauses as p inner join enrollments as e using (enrollment_id)
        inner join names as n using (lead_id)
    """,
    "halts": "select name, paused_by, paused_at, resumed_at from pauses",
    "live": """
        select n.name, q.sequence_id, s.step_id, v.status, v.due_at,
            if(s.kind = 'wait_for', v.due_at, v.slot_at), v.anchor_at, v.zone,
            v.is_paused, v.is_ended, v.arm, v.attempts, v.count_sends, v.has_replied,
            v.has_converted, {sent_mask}, {opened_mask}, {clicked_mask}
        from live as v inner join sequence_versions as q using (version_id)
        inner join steps as s using (version_id, step_ix)
        inner join names as n using (lead_id)
    """,
    "sends": """
        select n.name, q.sequence_id, s.step_id, d.variant, d.channel, d.claimed_at, d.slot_at,
            d.zone, d.local_on, d.sender
        from sends as d inner join sequence_versions as q using (version_id)
        inner join steps as s using (version_id, step_ix)
        inner join names as n using (lead_id)
    """,
    "outcomes": """
        select n.name, q.sequence_id, s.step_id, o.settled_at, o.status, o.reason, o.attempt,
            o.next_attempt_at
        from send_outcomes as o inner join sends as d using (send_id)
        inner join sequence_versions as q using (version_id)
        inner join steps as s using (version_id, step_ix)
        inner join names as n using (lead_id)
    """,
    "why": """
        select w.planned_at, n.name, q.sequence_id, s.step_id, w.outcome, w.reason, w.until_at,
            w.attempt
        from why as w inner join enrollments as e using (enrollment_id)
        inner join sequence_versions as q on w.version_id = q.version_id
        inner join steps as s on w.version_id = s.version_id and w.step_ix = s.step_ix
        inner join names as n using (lead_id)
    """,
    "assignments": """
        select a.experiment_id, n.name, a.arm, round(a.probability, 9), a.assigned_at, a.reason
        from assignments as a inner join enrollments as e using (enrollment_id)
        inner join names as n using (lead_id)
    """,
    "hours": """
        select n.name, e.sequence_id, s.step_id, h.drawn_at, h.slot_at, h.local_on, h.block,
            round(h.propensity, 9)
        from hour_draws as h inner join enrollments as e using (enrollment_id)
        inner join steps as s on h.version_id = s.version_id and h.step_ix = s.step_ix
        inner join names as n using (lead_id)
    """,
    "members": """
        select m.experiment_id, n.name, m.joined_at
        from account_leads as m inner join names as n using (lead_id)
    """,
    "suppressions": """
        select n.name, p.channel, p.reason, p.created_at, p.lifted_at
        from suppressions as p inner join names as n using (lead_id)
    """,
    "requests": """
        select n.name, c.kind, c.sequence_id, c.starts_at, c.requested_at, c.decided_at, c.outcome,
            c.reason
        from commands as c inner join names as n using (lead_id)
    """,
    "events": """
        select n.name, e.kind, e.occurred_at, e.received_at, e.verdict
        from events as e inner join names as n using (lead_id)
    """,
}
STEP_NAMES = """
coalesce((
    select string_agg(m.step_id, ' ' order by m.step_id)
    from steps as m
    where m.version_id = v.version_id and (v.{mask} >> m.step_ix) & 1 = 1
), '')
"""
SENDS = """
select n.name, d.send_id, d.settled_at
from send_status as d
inner join sequence_versions as q using (version_id)
inner join steps as s using (version_id, step_ix)
inner join names as n using (lead_id)
where d.status in ('handed_over', 'unknown')
order by n.name, d.claimed_at, q.sequence_id, s.step_id, d.enrollment_id
"""


@dataclass
class Played:
    """What the engine made of a universe."""

    instants: list[datetime] = field(default_factory=list)
    next_ats: list[datetime | None] = field(default_factory=list)
    names: Names = field(default_factory=lambda: Names("", {}, {}))
    rows: Rows = field(default_factory=dict)


class Stage:
    """One home in which a universe is played."""

    def __init__(self, empty_home: Path, room: Path, universe: Universe) -> None:
        self.home, self.folder, self.universe = room / "home", room / "sequences", universe
        shutil.copytree(empty_home, self.home)
        write_workspace(self.folder, universe.worlds)
        for world in universe.worlds:
            for sequence in world.sequences:
                write_sequence(self.folder, sequence)
        publish_scores(self.home, universe)
        self.settings = Settings(home=self.home, sequences=self.folder)
        self.keys = load_keys(self.home)
        self.leads = {lead.name: lead for world in universe.worlds for lead in world.leads}
        self.now = self.before = universe.start
        self.lines, self.segments = count(1), count(1)
        self.handed_over: set[tuple[int, int]] = set()
        self.again: list[dict[str, Any]] = []
        # Held while the universe is played: opening an open file again costs nothing, and a tick's
        # many small statements are faster without a second thread.
        self.con = duckdb.connect(str(ledger_path(self.home)))
        self.con.execute("set threads = 1")
        self.con.execute(
            "create temp view names as select lead_id, external_id as name from identities"
        )
        self.con.execute("set TimeZone = 'UTC'")

    def close(self) -> None:
        self.con.close()
        shutil.rmtree(self.home)
        shutil.rmtree(self.folder)

    def play(self) -> Played:
        played = Played()
        next_at: datetime | None = None
        for number, beat in enumerate(self.universe.beats):
            self.before = self.now
            self.now = beat_instant(self.now, beat, next_at)
            self.edit(number)
            self.land(number)
            self.obey(number, beat)
            self.resume(number)
            next_at = self.tick(beat)
            played.instants.append(self.now)
            played.next_ats.append(next_at)
        played.names = self.names()
        played.rows = self.rows()
        planned, outcomes = count_outcomes(self.con)
        assert planned == sum(outcomes.values())
        return played

    # One beat ---------------------------------------------------------------------------------------

    def edit(self, number: int) -> None:
        for world in self.universe.worlds:
            for edit in world.edits:
                if edit.beat == number:
                    (self.folder / f"{edit.name}.yml").unlink(missing_ok=True)
                    if edit.after:
                        write_sequence(self.folder, edit.after)

    def land(self, number: int) -> None:
        lines, self.again = self.again, []
        for world in self.universe.worlds:
            for place, what in enumerate(world.happenings):
                if what.beat == number and what.kind != "resumes":
                    lines += self.lines_of(world, place, what)
        if lines:
            append_lines(self.home, "inbound", lines, self.now, new_id=self.segment_id)

    def lines_of(self, world: World, place: int, what: Happening) -> list[dict[str, Any]]:
        lead = self.leads[what.lead]
        received = received_at(what, self.now, self.before)
        if what.kind == "arrives":
            return [self.line(received, "api", leads=[lead_record(lead, received)])]
        if what.kind == "changes":
            return [self.line(received, "api", leads=[change_record(lead, what)])]
        if what.kind in ("asks", "blocks"):
            request = request_record(what, lead, received, f"{world.name}-{place}")
            again = [self.now] if what.again else []
            return [self.line(at, "operator", commands=[request]) for at in [received, *again]]
        send_id, answered = self.send_of(what)
        occurred = occurred_at(what, received, answered)
        event = event_record(what, lead, occurred, f"{world.name}-{place}", send_id)
        if what.again:
            self.again = [*self.again, self.line(self.now, what.source, events=[event])]
            return [self.line(at, what.source, events=[event]) for at in (self.now, received)]
        return [self.line(received, what.source, events=[event])]

    def line(self, received: datetime, source: str, **parts: Any) -> dict[str, Any]:
        line_id = f"{next(self.lines):032x}"
        return landing_line(line_id=line_id, received_at=received, source=source, **parts)

    def segment_id(self) -> str:
        return f"{next(self.segments):08x}"

    def send_of(self, what: Happening) -> tuple[int | None, datetime | None]:
        if what.nth is None:
            return None, None
        mine = [rest for name, *rest in self.con.execute(SENDS).fetchall() if name == what.lead]
        return mine[what.nth % len(mine)] if mine else (None, None)

    def obey(self, number: int, beat: Beat) -> None:
        """What operators do; a command that makes no sense just then is refused."""
        stop_file = self.home / "STOP"
        if beat.everything == "stop":
            stop_file.touch()
        elif beat.everything == "go":
            stop_file.unlink(missing_ok=True)
        elif beat.everything:
            self.command(beat.everything, Target("everything"))
        for world in self.universe.worlds:
            for order in world.orders:
                if order.beat == number:
                    self.command(order.action, Target("sequence", order.name))

    def command(self, action: str, target: Target) -> None:
        with suppress(DripError):
            if action == "pause":
                pause(self.settings, target, self.now)
            else:
                resume(self.settings, target, self.now)

    def resume(self, number: int) -> None:
        for world in self.universe.worlds:
            for what in world.happenings:
                if what.kind == "resumes" and what.beat == number:
                    self.resume_one(what)

    def resume_one(self, what: Happening) -> None:
        found = self.con.execute(
            """
            select v.enrollment_id
            from live as v inner join enrollments as e using (enrollment_id)
            inner join names as n on v.lead_id = n.lead_id
            where v.is_paused and n.name = $lead and $sequence in ('', e.sequence_id)
            """,
            {"lead": what.lead, "sequence": what.sequence},
        ).fetchall()
        for (enrollment_id,) in found:
            resume_enrollment(self.settings, enrollment_id, self.now)

    def tick(self, beat: Beat) -> datetime | None:
        """A tick as `pipeline.engine.tick` runs it, with a dispatcher that plays the answers."""
        workspace, sequences = load_files(self.folder)
        report = TickReport(is_dispatcher=not beat.leaves)
        clock = self.clock()
        run = Run(self.settings, self.keys, workspace, sequences, clock, report)
        while orders := run.step():
            assert len(orders) < 500, "a second chunk would be another tick for the caps"
            self.write_answers([line for order in orders for line in self.answer_order(order)])
        if beat.leaves:
            self.let_other_dispatcher(beat)
        return report.next_at

    def clock(self) -> Callable[[], datetime]:
        now = self.now
        return lambda: now

    # The other side ---------------------------------------------------------------------------------

    def answer_order(self, order: Order) -> list[dict[str, Any]]:
        name = self.con.execute(
            "select n.name from sends as d inner join names as n using (lead_id) where send_id = ?",
            [order.send_id],
        ).fetchall()[0][0]
        return self.answer(name, order.step.step_id, order.send_id, order.attempt)

    def answer(self, lead: str, step: str, send_id: int, attempt: int) -> list[dict[str, Any]]:
        world = next(w for w in self.universe.worlds if lead.startswith(f"{w.name}-"))
        status, reason = SAID[world.answer(lead, step, attempt)]
        at = instant_text(self.now)
        begin = {"begin": send_id, "attempt": attempt, "at": at}
        end = {"end": send_id, "attempt": attempt, "at": at, "status": status, "reason": reason}
        end |= {
            "message_id": f"<{send_id}.{attempt}@example.com>" if status == "handed_over" else None
        }
        # A message that is declined before its body was never begun.
        return [end] if status in ("retry", "refused") else [begin, end]

    def write_answers(self, lines: list[dict[str, Any]]) -> None:
        append_lines(self.home, "journal", lines, self.now, new_id=self.segment_id)

    def let_other_dispatcher(self, beat: Beat) -> None:
        claims = self.con.execute(
            """
            select n.name, s.step_id, v.send_id, v.attempts
            from live as v inner join names as n using (lead_id)
            inner join steps as s using (version_id, step_ix)
            where v.status = 'in_flight'
            """
        ).fetchall()
        lines = []
        for name, step, send_id, attempt in claims:
            if is_reached(beat, name) and (send_id, attempt) not in self.handed_over:
                self.handed_over.add((send_id, attempt))
                told = self.answer(name, step, send_id, attempt)
                # Killed while it waited for an answer: `begin` without `end`.
                lines += [line for line in told if line.get("status") != "unknown"]
        if lines:
            self.write_answers(lines)

    # What is in the ledger --------------------------------------------------------------------------

    def names(self) -> Names:
        leads = dict(self.con.execute("select name, lead_id from names").fetchall())
        enrollments = {
            (name, sequence, entry_no): number
            for name, sequence, entry_no, number in self.con.execute(
                "select n.name, e.sequence_id, e.entry_no, e.enrollment_id "
                "from enrollments as e inner join names as n using (lead_id)"
            ).fetchall()
        }
        return Names(self.keys.salt, leads, enrollments)

    def rows(self) -> Rows:
        masks = {
            mask: STEP_NAMES.format(mask=mask)
            for mask in ("sent_mask", "opened_mask", "clicked_mask")
        }
        return {
            table: self.con.execute(query.format(**masks)).fetchall()
            for table, query in QUERIES.items()
        }


def publish_scores(home: Path, universe: Universe) -> None:
    """A published warehouse that holds nothing but the scores of hours."""
    rows = [
        (name, place // 6, place % 6, score)
        for world in universe.worlds
        for name, scores in world.scores
        for place, score in enumerate(scores)
    ]
    if not rows:
        return
    with duckdb.connect(str(warehouse_path(home))) as con:
        con.execute("create schema analysis")
        con.execute(
            "create table analysis.send_times (sequence_id varchar, weekday bigint, block bigint, "
            "score double, computed_at timestamptz)"
        )
        values = ", ".join(["(?, ?, ?, ?, '2026-01-01')"] * len(rows))
        con.execute(
            f"insert into analysis.send_times values {values}",
            [value for row in rows for value in row],
        )


def beat_instant(now: datetime, beat: Beat, next_at: datetime | None) -> datetime:
    """When a beat is: at the moment when something is due, if that comes soon, else after its gap."""
    if beat.waits_for_due and next_at is not None and now < next_at < now + LONGEST_WAIT:
        return next_at
    return now + timedelta(minutes=beat.minutes)
