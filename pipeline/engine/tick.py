"""The tick: ingest → react → enroll → plan → hand over in chunks (design.md section 6, R8).

Belongs here: the order of the rooms and the two locks. Does not: any rule (each has its module),
when to tick (`cli`, `defs`).
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import duckdb

from pipeline.engine.dispatch import CHUNK_MESSAGES, Dispatcher, Order, read_orders
from pipeline.engine.enroll import enroll, may_enter
from pipeline.engine.journal import read_journal
from pipeline.engine.pauses import STOP_FILE, reconcile_pauses
from pipeline.engine.plan import plan
from pipeline.engine.programme import Programme, load_programme
from pipeline.engine.reactions import JUDGED_AFTER, apply_reactions
from pipeline.engine.resuming import resume_due
from pipeline.engine.settle import settle
from pipeline.engine.stops import end_archived
from pipeline.inbound.ingest import MAX_BYTES, ingest
from pipeline.ledger.locks import LockBusy, hold_lock
from pipeline.ledger.statements import fetch_value, run_file
from pipeline.ledger.store import open_ledger, transaction
from pipeline.sequences.compile import load_sequences, load_workspace
from pipeline.sequences.compiled import CompiledSequence
from pipeline.sequences.model import Workspace
from pipeline.settings import Keys, Settings, load_keys

_CHUNK_SQL = Path(__file__).with_name("chunk.sql")


@dataclass
class TickReport:
    """What a tick did. Counts of this tick; `next_at` is when something is due next."""

    counts: dict[str, int] = field(default_factory=dict)
    next_at: datetime | None = None
    is_dispatcher: bool = False
    is_stopped: bool = False

    def add(self, **counts: int) -> None:
        """Add to the counts."""
        for name, count in counts.items():
            if count:
                self.counts[name] = self.counts.get(name, 0) + count


def tick(
    settings: Settings, clock: Callable[[], datetime], *, until: datetime | None = None
) -> TickReport:
    """Do everything that is due now.

    One dispatcher per home holds `dispatch.lock` while it runs; a second tick ingests, plans and
    leaves the hand-over to the first. A crash at any instant loses nothing and doubles nothing: the
    journal tells the next holder of the lock what had begun.

    Args:
        settings: home and sequences.
        clock: the current moment; constant in a simulation.
        until: from then on no more is handed over; what is claimed by then waits for the next
            tick. Without it a tick goes on for as long as something falls due meanwhile.

    Raises:
        DripError: a broken file, a busy or damaged ledger.
    """
    workspace, sequences = load_files(settings.sequences)
    keys = load_keys(settings.home)
    report = TickReport()
    with _dispatch_lock(settings.home) as is_dispatcher:
        report.is_dispatcher = is_dispatcher
        run = Run(settings, keys, workspace, sequences, clock, report)
        orders = run.step()
        if orders:
            asyncio.run(run.dispatch(orders, until))
    return report


@contextmanager
def _dispatch_lock(home: Path) -> Iterator[bool]:
    lock = hold_lock(home / "dispatch.lock", timeout=0)
    try:
        lock.__enter__()
    except LockBusy:
        yield False
        return
    try:
        yield True
    finally:
        lock.__exit__(None, None, None)


def load_files(folder: Path) -> tuple[Workspace, tuple[CompiledSequence, ...]]:
    """Read workspace.yml and the sequences; again only when a file has changed."""
    fingerprint = tuple(
        (str(path), path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    return _load_files(folder, fingerprint)


@lru_cache(maxsize=8)
def _load_files(
    folder: Path,
    fingerprint: tuple[tuple[str, int, int], ...],
) -> tuple[Workspace, tuple[CompiledSequence, ...]]:
    workspace = load_workspace(folder)
    return workspace, tuple(load_sequences(folder, workspace))


class Run:
    """One tick's state between its ledger transactions; `rehearsal` derives its own from it."""

    chunk_size = CHUNK_MESSAGES

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        workspace: Workspace,
        sequences: tuple[CompiledSequence, ...],
        clock: Callable[[], datetime],
        report: TickReport,
    ) -> None:
        self.settings, self.keys, self.clock, self.report = settings, keys, clock, report
        self.workspace, self.sequences = workspace, sequences
        self.programme: Programme | None = None
        self.has_withdrawn = False
        self.count_chunk = 0

    def step(self) -> list[Order]:
        """Take in everything, plan, and return the next chunk; empty when nothing is claimed."""
        while True:
            with open_ledger(self.settings.home) as con, transaction(con):
                has_more = self.decide(con)
                orders = self._read_chunk(con)
            # What follows a withdrawn claim may be due already; who waited for an end may enter.
            if not has_more and (orders or not self.has_withdrawn):
                return orders

    def decide(self, con: duckdb.DuckDBPyConnection) -> bool:
        """Take in, plan and choose the next chunk, in the caller's transaction.

        Leaves the temp table `chunk` where `count_chunk` is above 0. Returns whether more has
        landed: then nothing was planned yet.
        """
        started = time.perf_counter()
        before = dict(self.report.counts)
        now = self.clock()
        has_more = self._take_in(con, now)
        self.count_chunk = 0
        # What has landed is known before anybody is contacted (promise 2).
        if not has_more:
            self._plan(con, now)
        self._record(con, before, now, time.perf_counter() - started)
        return has_more

    def bring(self, con: duckdb.DuckDBPyConnection, now: datetime) -> bool:
        """Ingest what has landed, leave the temp table `new_events`; return whether more waits."""
        taken = ingest(
            con,
            self.settings.home,
            now=now,
            attributes=self.workspace.attributes,
            max_bytes=MAX_BYTES,
        )
        self.report.add(
            lines=taken.count_lines,
            leads=taken.count_leads,
            events=taken.count_events,
            rejected_lines=taken.count_rejected,
        )
        return taken.has_more

    def read_answers(self, con: duckdb.DuckDBPyConnection, now: datetime) -> int:
        """Leave the temp table `answers` to what was handed over; return how many there are."""
        return read_journal(con, self.settings.home, now)

    def _take_in(self, con: duckdb.DuckDBPyConnection, now: datetime) -> bool:
        report = self.report
        has_more = self.bring(con, now)
        self.programme = load_programme(
            con, self.workspace, self.sequences, now, self.settings.home
        )
        report.add(ended=apply_reactions(con, now))
        report.add(resumed=resume_due(con, now))
        report.is_stopped = (self.settings.home / STOP_FILE).exists()
        if reconcile_pauses(con, self.sequences, now, is_stopped=report.is_stopped):
            self.programme = load_programme(
                con, self.workspace, self.sequences, now, self.settings.home
            )
        report.add(ended=end_archived(con, self.sequences, now))
        if report.is_dispatcher and self.read_answers(con, now):
            report.add(**settle(con, self.keys.salt))
            # A bounce pauses from when it was told; by now that may be over.
            report.add(resumed=resume_due(con, now))
        return has_more

    def _plan(self, con: duckdb.DuckDBPyConnection, now: datetime) -> None:
        report, salt = self.report, self.keys.salt
        if not report.is_stopped and self.programme is not None:
            report.add(enrolled=enroll(con, self.programme, salt, now))
            report.add(**plan(con, self.programme, salt, now))
        self._take_chunk(con, now)
        if not report.is_stopped and self.programme is not None:
            self.has_withdrawn |= may_enter(con, self.programme)
        report.next_at = next_due(con)

    def _record(
        self, con: duckdb.DuckDBPyConnection, before: dict[str, int], now: datetime, seconds: float
    ) -> None:
        new = {
            name: count - before.get(name, 0)
            for name, count in self.report.counts.items()
            if count > before.get(name, 0)
        }
        if new:
            con.execute(
                "insert into jobs values ('tick', ?, ?, ?)", [now, seconds, json.dumps(new)]
            )

    def _take_chunk(self, con: duckdb.DuckDBPyConnection, now: datetime) -> None:
        self.has_withdrawn = False
        if not self.report.is_dispatcher:
            return
        if not fetch_value(con, "select exists (from live where status = 'in_flight')"):
            return
        run_file(con, _CHUNK_SQL, size=self.chunk_size, now=now)
        if fetch_value(con, "select count(*) from answers"):
            self.has_withdrawn = True
            self.report.add(**settle(con, self.keys.salt))
        self.count_chunk = int(fetch_value(con, "select count(*) from chunk"))

    def _read_chunk(self, con: duckdb.DuckDBPyConnection) -> list[Order]:
        if not self.count_chunk or self.programme is None:
            return []
        rows = con.sql("select * from chunk order by place").pl().to_dicts()
        return read_orders(rows, self.programme)

    async def dispatch(self, orders: list[Order], until: datetime | None = None) -> None:
        """Hand over chunk after chunk until nothing is claimed, or time is over."""
        if self.programme is None:
            return
        dispatcher = Dispatcher(
            self.settings.home, self.settings, self.keys, self.programme, self.clock
        )
        try:
            while orders:
                await dispatcher.hand_over(orders)
                orders = self.step()
                if until is not None and self.clock() >= until:
                    break
        finally:
            await dispatcher.close()


def next_due(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """Return the next moment at which a tick has something to do by itself, or None.

    Claims that wait for a dispatcher count as due now (the epoch). Needs the programme's `step`.
    """
    moment: datetime | None = fetch_value(
        con,
        """
        -- The soonest of each step first: a join row by row was the dearest part of an idle tick.
        with soonest as (
            select version_id, step_ix, min(slot_at) as slot_at
            from live
            where status != 'in_flight' and not is_paused
            group by version_id, step_ix
        )

        select least(
            (select 'epoch'::timestamptz where exists (from live where status = 'in_flight')),
            (
                select min(o.slot_at)
                from soonest as o
                inner join step as s on o.version_id = s.version_id and o.step_ix = s.step_ix
                where s.is_running
            ),
            (select min(received_at) from engagement_pending) + to_seconds($judged),
            (
                select min(p.resumes_at)
                from enrollment_pauses as p
                inner join live as v on p.enrollment_id = v.enrollment_id
                where p.resumed_at is null and p.resumes_at is not null
                    and v.is_paused and not v.is_ended
            ),
            (
                select min(p.counts_at)
                from entry_events as p
                semi join enroll_event as t on p.sequence_id = t.sequence_id and t.is_active
            )
        )
        """,
        {"judged": int(JUDGED_AFTER / timedelta(seconds=1))},
    )
    return moment
