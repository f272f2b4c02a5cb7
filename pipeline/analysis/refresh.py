"""The refresh: copy, build, analyse, audit, publish, then write the day's looks into the ledger.

Belongs here: the order of the steps, each a function of its own, and what goes back to the ledger.
Does not: how a step works (`warehouse`, `tables`), schedules (`defs`).
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from pipeline.analysis.tables import ANALYSES
from pipeline.ledger.store import open_ledger, transaction
from pipeline.sequences.model import Workspace
from pipeline.settings import Settings
from pipeline.warehouse.audit import AuditReport, audit_warehouse
from pipeline.warehouse.build import build_warehouse, discard_next
from pipeline.warehouse.copy import copy_facts, discard_facts
from pipeline.warehouse.lock import hold_refresh_lock
from pipeline.warehouse.paths import ledger_copy_path, next_path
from pipeline.warehouse.publish import publish_warehouse
from pipeline.warehouse.read import query

STEPS = ("copy", "build", "analyse", "audit", "publish", "record")

_LATEST_LOOKS = """
select experiment_id, looked_on, state, winner, evidence
from looks
qualify row_number() over (partition by experiment_id order by looked_on desc) = 1
"""
_RECORD_LOOKS = Path(__file__).with_name("looks.sql")


@dataclass(frozen=True)
class RefreshReport:
    """What a refresh has done."""

    refresh_id: str
    refreshed_at: datetime
    published: Path
    seconds: dict[str, float]
    rows: dict[str, int]
    count_checks: int
    warnings: tuple[str, ...]
    count_looks: int


def refresh(
    home: Path,
    settings: Settings,
    now: datetime,
    *,
    workspace: Workspace,
    progress: Callable[[str], None] = lambda step: None,
) -> RefreshReport:
    """Publish a new warehouse of the facts at `now`.

    Interrupted or failed at any point it leaves the published warehouse as it was, and a later
    refresh starts from nothing.

    Args:
        home: the workspace's stores.
        settings: for the memory limit.
        now: the moment of the facts.
        workspace: its zone, currency and way to share out revenue.
        progress: told the name of each step as it begins, one of STEPS.

    Raises:
        LockBusy: another refresh runs, or the ledger stayed busy.
        AuditFailed: a check failed; the message names it and shows rows.
    """
    refresh_id = new_refresh_id()
    watch = _Watch(progress)
    with hold_refresh_lock(home):
        try:
            with watch.step("copy"):
                copy_facts(home)
            with watch.step("build"):
                build_warehouse(home, settings, now, refresh_id, workspace)
            with watch.step("analyse"):
                run_analyses(home, now, timezone=workspace.timezone)
            with watch.step("audit"):
                audit = audit_warehouse(home, refresh_id, now)
            with watch.step("publish"):
                published = publish_warehouse(home, now, refresh_id, timezone=workspace.timezone)
        finally:
            discard_facts(home)
            discard_next(home)
        with watch.step("record"):
            count_looks = record_looks(home, now)
            record_job(home, now, sum(watch.seconds.values()), audit)
    return RefreshReport(
        refresh_id=refresh_id,
        refreshed_at=now,
        published=published,
        seconds=watch.seconds,
        rows=audit.rows,
        count_checks=audit.count_checks,
        warnings=audit.warnings,
        count_looks=count_looks,
    )


def new_refresh_id() -> str:
    """Return a name for a refresh that no other one has."""
    return uuid.uuid4().hex


def run_analyses(home: Path, now: datetime, *, timezone: str) -> dict[str, int]:
    """Write the analysis tables into the next warehouse, from its marts; return their rows.

    The looks are those of the copied ledger: of the same moment as the marts.
    """
    with duckdb.connect(str(ledger_copy_path(home)), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        looks: pl.DataFrame = con.sql(_LATEST_LOOKS).pl()
    local_now = now.astimezone(ZoneInfo(timezone))
    with duckdb.connect(str(next_path(home))) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute("create schema if not exists analysis")
        return {name: write(con, local_now, looks) for name, write in ANALYSES.items()}


def record_looks(home: Path, now: datetime) -> int:
    """Append the published decisions to the ledger as the day's looks; return how many were new.

    Days begin at 06:00 in the workspace's zone (rules.md R15). A second refresh on a day adds
    nothing. The winner of an automatic experiment is applied by the first look that names it.
    """
    decisions = query(
        home,
        "select experiment_id, looked_on, state, winner, reason, evidence, is_auto "
        "from analysis.experiment_decisions",
    )
    if decisions.is_empty():
        return 0
    with open_ledger(home) as con, transaction(con):
        con.register("decisions", decisions)
        try:
            added = con.execute(_RECORD_LOOKS.read_text(encoding="utf-8"), {"now": now}).fetchall()
        finally:
            con.unregister("decisions")
    return int(added[0][0])


def record_job(home: Path, now: datetime, seconds: float, audit: AuditReport) -> None:
    """Append the refresh to the ledger's jobs."""
    with open_ledger(home) as con, transaction(con):
        con.execute(
            "insert into jobs values ('refresh', $now, $seconds, $rows)",
            {"now": now, "seconds": seconds, "rows": json.dumps(audit.rows, sort_keys=True)},
        )


@dataclass
class _Watch:
    """Tells which step begins and remembers how long each took."""

    progress: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.progress(name)
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began
