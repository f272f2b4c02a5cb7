"""A small world to tick in: one home, one sequences folder, a clock that the test moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import pytest

from pipeline.engine.status import count_outcomes
from pipeline.engine.tick import TickReport, next_due, tick
from pipeline.inbound.landing import append_lines, landing_line
from pipeline.ledger.store import open_ledger
from pipeline.settings import Settings
from pipeline.warehouse.paths import warehouse_path

# A Monday, 10:00 in New York.
MONDAY = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)

WORKSPACE = """
name: Test
timezone: America/New_York
address: 1 Road, Town
attributes: [plan]
senders:
  sales: {channel: email, address: "Ann <ann@example.com>"}
  text: {channel: sms, address: "Ann <ann@example.com>", to: "{{ phone }}@sms.example.com"}
goals: {sale: "webhook:webhook"}
"""

ALWAYS = 'calendar: {days: [mon, tue, wed, thu, fri, sat, sun], hours: "00:00-24:00"}\n'

TESTED = """\
  - id: a
    channel: email
    subject: Old
    body: templates/hello.md
    experiment:
      id: subject_1
      control: x
      metric: replied
      variants: [{id: x}, {id: y, subject: New}]
"""


def check_accounts(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """Hold up the accounts at the end of a step of a tick, before it commits."""
    planned, outcomes = count_outcomes(con)
    assert planned == sum(outcomes.values())
    return next_due(con)


class World:
    """What a test does to a workspace, in few words. Every step of a tick checks the accounts."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.settings = Settings(home=home, sequences=folder)
        self.home, self.folder, self.now = home, folder, MONDAY
        self._lines = 0
        (folder / "templates").mkdir(parents=True)
        (folder / "workspace.yml").write_text(WORKSPACE)
        (folder / "templates" / "hello.md").write_text(
            "Hello {{ first_name | default('you') }}, see [this](https://example.com/a)."
        )

    def sequence(self, name: str, steps: str, head: str = "", calendar: str = ALWAYS) -> None:
        """Write a sequence that enrolls leads whose source is its name in capitals."""
        enroll = (
            "" if "enroll:" in head else f"enroll: {{when: \"lead.source = '{name.upper()}'\"}}\n"
        )
        text = f"status: active\nowner: a@example.com\n{head}{enroll}{calendar}steps:\n{steps}"
        if "status:" in head:
            text = text.removeprefix("status: active\n")
        (self.folder / f"{name}.yml").write_text(text)

    def land(self, *, source: str = "api", **parts: Any) -> None:
        """Land one line with leads or events."""
        self._lines += 1
        line = landing_line(
            line_id=f"{self._lines:032x}", received_at=self.now, source=source, **parts
        )
        append_lines(self.home, "inbound", [line], self.now)

    def leads(self, count: int, source: str = "ONE", **fields: Any) -> None:
        """Land leads u0@example.com, u1@example.com, …"""
        self.land(
            leads=[
                {"email": f"u{i}@example.com", "phone": f"+1555010{i:04d}", "source": source}
                | fields
                for i in range(count)
            ]
        )

    def event(self, kind: str, **fields: Any) -> None:
        """Land one event, as a webhook would."""
        self.land(source="webhook:webhook", events=[{"kind": kind, **fields}])

    def tick(self, *, hours: float = 0, days: float = 0, seconds: float = 0) -> TickReport:
        """Move the clock and tick once."""
        self.now += timedelta(hours=hours, days=days, seconds=seconds)
        # Opening the ledger once more would cost as much as a tenth of the tick.
        with patch("pipeline.engine.tick.next_due", check_accounts):
            return tick(self.settings, lambda: self.now)

    def tick_until(self, end: datetime, most: int = 200) -> None:
        """Tick at every moment at which something is due, until the end."""
        for _ in range(most):
            report = self.tick()
            if report.next_at is None or report.next_at > end:
                return
            self.now = max(self.now, report.next_at)
        raise AssertionError("the ticks do not come to an end")

    @contextmanager
    def ledger(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the ledger to look."""
        with open_ledger(self.home, read_only=True) as con:
            yield con

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the ledger."""
        with self.ledger() as con:
            return con.execute(sql).fetchall()

    def publish_hours(self, scores: dict[tuple[int, int], float | None], name: str = "one") -> None:
        """Publish scores of weekday and block as a refresh does: a new file over the old one."""
        path = self.home / "next.duckdb"
        with duckdb.connect(str(path)) as con:
            con.execute("create schema analysis")
            con.execute(
                "create table analysis.send_times (sequence_id varchar, weekday bigint, "
                "block bigint, score double, computed_at timestamptz)"
            )
            for (weekday, block), score in scores.items():
                con.execute(
                    "insert into analysis.send_times values (?, ?, ?, ?, '2026-01-04 12:00Z')",
                    [name, weekday, block, score],
                )
        path.replace(warehouse_path(self.home))

    def first_send(self, enrollment_id: int) -> int:
        """Return the number of an enrollment's first send: among leads the order is the engine's."""
        sql = f"select min(send_id) from sends where enrollment_id = {enrollment_id}"
        return int(self.rows(sql)[0][0])

    def mail(self) -> list[Any]:
        """Return the messages that went out, in the order of their sends."""
        messages = [
            message_from_bytes(path.read_bytes(), policy=default)
            for path in (self.home / "maildir").glob("*/new/*")
        ]
        return sorted(messages, key=lambda m: int(m["Message-ID"][1:].partition(".")[0]))


@pytest.fixture
def world(home: Path, tmp_path: Path) -> World:
    """A workspace with one e-mail and one SMS sender, and no sequence yet."""
    return World(home, tmp_path / "sequences")


@pytest.fixture
def tested(world: World) -> World:
    """Twenty leads have come to the test `subject_1` of two subjects, Old and New."""
    world.sequence("one", TESTED)
    world.leads(20)
    world.tick()
    return world
