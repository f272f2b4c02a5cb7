"""Promise 1 by real processes: kill -9 at every boundary and at any moment, real SMTP, nothing twice."""

import json
import multiprocessing
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from aiosmtpd.controller import Controller

from pipeline.engine.status import count_outcomes
from pipeline.engine.tick import tick
from pipeline.settings import Settings
from tests.engine.dying import CONCURRENCY, tick_and_die

KILLS = 20
LEADS = 120
MAIL = "  - {{id: a, channel: email, subject: {}, body: templates/hello.md}}\n"
MONDAY = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


class Sink:
    """Takes mail, slowly enough to be killed in the middle, and remembers who got what."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []
        self.busy: set[str] = set()

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.busy:
            return "451 come back"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        head = envelope.content.split(b"\r\n\r\n", 1)[0].decode()
        subject = next(x for x in head.split("\r\n") if x.startswith("Subject: "))
        self.taken.append((envelope.rcpt_tos[0], subject))
        time.sleep(0.001)
        return "250 taken"


@pytest.fixture
def sink():
    handler = Sink()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        handler.port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=handler.port)
    controller.start()
    yield handler
    controller.stop()


def use_smtp(world, port):
    text = (world.folder / "workspace.yml").read_text()
    text = text.replace('<ann@example.com>"}', '<ann@example.com>", transport: out}', 1)
    text += (
        f"transports: {{out: {{kind: smtp, host: 127.0.0.1, port: {port}, tls: none}}, "
        "maildir: {kind: maildir}}\n"
    )
    (world.folder / "workspace.yml").write_text(text)


# Imports everything once; each child is a process of its own and starts in milliseconds.
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["tests.engine.dying"])


def run_tick(home, folder):
    """Tick once; the body of the child process."""
    settings = Settings(home=home, sequences=folder, concurrency=CONCURRENCY)
    tick(settings, lambda: MONDAY)


def start_tick(world):
    child = forks.Process(target=run_tick, args=(world.home, world.folder), daemon=True)
    child.start()
    return child


def end_tick(child):
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.timeout(120)
def test_killed_at_twenty_random_moments_nobody_gets_a_message_twice(world, sink):
    use_smtp(world, sink.port)
    for name in ("one", "two"):
        world.sequence(name, MAIL.format(name))
    seed = 20261121
    moments = random.Random(seed)
    world.leads(LEADS, source="ONE")
    kills = 0
    while kills < KILLS:
        # a fresh batch now and then keeps something to hand over
        world.land(
            leads=[{"email": f"k{kills}-{i}@example.com", "source": "TWO"} for i in range(30)]
        )
        before = len(sink.taken)
        child = start_tick(world)
        deadline = time.monotonic() + 20
        while len(sink.taken) == before and child.is_alive() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.08))
        if child.is_alive():
            child.kill()
            kills += 1
        child.join(20)
        assert child.exitcode in (0, -signal.SIGKILL)
    end_tick(start_tick(world))

    twice = {who: n for who, n in Counter(sink.taken).items() if n > 1}
    assert not twice, f"seed {seed}"
    with world.ledger() as con:
        planned, outcomes = count_outcomes(con)
    enrolled = world.rows("select count(*) from enrollments")[0][0]
    assert planned == enrolled == LEADS + 30 * kills
    assert outcomes["in_flight"] == 0
    assert outcomes["sent"] + outcomes["unknown"] == enrolled
    assert outcomes["unknown"] <= CONCURRENCY * kills
    # everybody has the message, or its outcome is honestly unknown
    sent = world.rows(
        "select i.email from send_status as s inner join identities as i using (lead_id) where status = 'handed_over'"
    )
    got = {who for who, _ in sink.taken}
    assert {email for (email,) in sent} <= got
    assert enrolled - len(got) <= outcomes["unknown"]


def test_two_ticks_at_once_send_everything_once(world, sink):
    use_smtp(world, sink.port)
    world.sequence("one", "  - {id: a, channel: email, subject: one, body: templates/hello.md}\n")
    world.leads(200)
    children = [start_tick(world) for _ in range(3)]
    for child in children:
        end_tick(child)
    assert len(sink.taken) == len(set(sink.taken)) == 200
    assert world.rows("select count(*) from enrollments") == [(200,)]


def test_the_stop_file_stops_planning_and_handing_over(world):
    world.sequence("one", "  - {id: a, channel: email, subject: one, body: templates/hello.md}\n")
    world.leads(2)
    (world.home / "STOP").touch()
    report = world.tick()
    assert report.is_stopped
    assert world.mail() == []
    (world.home / "STOP").unlink()
    assert world.tick().counts["handed_over"] == 2


STEPS = """
  - {{id: a, channel: email, subject: {0} a, body: templates/hello.md{1}}}
  - id: way
    after: 30m
    branch:
      - {{when: "replied()", steps: []}}
      - steps: [{{id: b, channel: email, subject: {0} b, body: templates/hello.md}}]
  - {{id: c, after: 1h, channel: email, subject: {0} c, body: templates/hello.md}}
"""
TEST = (
    ", experiment: {id: t, metric: clicked, control: x, "
    "variants: [{id: x}, {id: y, subject: two y}]}"
)
# Everything that must be as if nothing had happened.
STORY = {
    "leads": "select email, source from identities inner join leads using (lead_id)",
    "events": "select event_id, kind, lead_id from events",
    "enrollments": "select lead_id, sequence_id, is_holdout from enrollments",
    "assignments": "select unit_id, arm, reason from assignments",
    "ends": "select lead_id, sequence_id, x.status, reason from enrollment_ends as x "
    "inner join enrollments using (enrollment_id)",
    "suppressions": "select lead_id, channel, reason from suppressions",
    "sends": "select lead_id, version_id, step_ix, variant, status from send_status",
    "why": "select lead_id, w.version_id, step_ix, outcome, reason, attempt from why as w "
    "inner join enrollments using (enrollment_id)",
    "live": "select lead_id, version_id, step_ix, status, due_at, slot_at, count_sends, attempts, sent_mask, "
    "has_replied from live",
}


class Scene:
    """A home in the middle of things, of which each crash gets a copy of its own."""

    def __init__(self, world, sink):
        self.world, self.sink = world, sink
        self.count_spared = 0
        use_smtp(world, sink.port)
        world.sequence("one", STEPS.format("one", ""), head="goal: {name: sale}\n")
        world.sequence("two", STEPS.format("two", TEST), head="limits: {per_day: 14}\n")
        world.leads(8)
        world.land(leads=[{"email": f"t{i}@example.com", "source": "TWO"} for i in range(6)])
        sink.busy = {"u6@example.com", "u7@example.com"}
        world.tick()
        sink.busy = set()
        world.event("replied", email="u0@example.com")
        world.event("unsubscribed", email="u1@example.com")
        world.event("converted", name="sale", email="u2@example.com")
        world.event("opened", email="t0@example.com")
        world.land(leads=[{"email": f"v{i}@example.com", "source": "ONE"} for i in range(5)])
        world.land(leads=[{"email": f"w{i}@example.com", "source": "TWO"} for i in range(5)])
        world.now += timedelta(hours=1)
        self.copies = world.home.parent / "copies"
        self.taken, self.count, self.seconds = self.run(None)
        self.story, unknown = self.tell(self.last)
        assert not unknown
        assert self.count > 200
        assert len(self.taken) > 15

    def run(self, deadly, moment=None, *, is_process=False):
        """Let a tick die at a boundary or after so many seconds, and go on from there."""
        self.last = home = self.copies / f"home-{deadly}-{moment}"
        shutil.copytree(self.world.home, home)
        self.sink.taken.clear()
        child = self.start(home, deadly, is_process=is_process)
        began = time.monotonic()
        if moment is not None:
            child.join(moment)
            child.kill()
        code = child.wait(60) if is_process else (child.join(60), child.exitcode)[1]
        seconds = time.monotonic() - began
        assert code in (0, -signal.SIGKILL)
        # How many lines a hand-over writes at once depends on its pace: a late boundary may not come.
        is_due = deadly is not None or moment is not None
        self.count_spared += is_due and moment is None and code == 0
        assert is_due or code == 0
        tick(Settings(home=home, sequences=self.world.folder), lambda: self.world.now)
        counted = home / "boundaries"
        return (
            Counter(self.sink.taken),
            int(counted.read_text()) if counted.exists() else 0,
            seconds,
        )

    def start(self, home, deadly, *, is_process):
        if not is_process:
            arguments = (home, self.world.folder, self.world.now, deadly)
            child = forks.Process(target=tick_and_die, args=arguments, daemon=True)
            child.start()
            return child
        order = {
            "home": str(home),
            "folder": str(self.world.folder),
            "now": self.world.now.isoformat(),
            "deadly": deadly,
        }
        return subprocess.Popen([sys.executable, "-m", "tests.engine.dying", json.dumps(order)])

    def tell(self, home: Path):
        with duckdb.connect(str(home / "ledger.duckdb"), read_only=True) as con:
            planned, outcomes = count_outcomes(con)
            assert planned == sum(outcomes.values())
            assert outcomes["in_flight"] == sum(
                n
                for (n,) in con.execute(
                    "select count(*) from live where status = 'retry'"
                ).fetchall()
            )
            unknown = con.execute(
                "select email, step_id from send_status inner join identities using (lead_id) "
                "inner join steps using (version_id, step_ix) where status = 'unknown'"
            ).fetchall()
            story = {name: Counter(con.execute(sql).fetchall()) for name, sql in STORY.items()}
            return story, unknown

    def crash(self, deadly, moment=None, *, is_process=False):
        """What is wrong after a crash, as a sentence; nothing when nothing is."""
        taken, _, _ = self.run(deadly, moment, is_process=is_process)
        story, unknown = self.tell(self.last)
        shutil.rmtree(self.last)
        wrong = [f"twice: {who}" for who, count in taken.items() if count > 1]
        lost = self.taken - taken
        wrong += [f"lost: {who}" for who in lost if not any(who[0] == u[0] for u in unknown)]
        wrong += [f"unexpected: {who}" for who in taken - self.taken]
        wrong += [f"unknown: {unknown}"] * (len(unknown) > CONCURRENCY)
        if not unknown:
            wrong += [
                f"{name}: {[*(story[name] - self.story[name]), '!=', *(self.story[name] - story[name])]}"
                for name in story
                if story[name] != self.story[name]
            ]
        return wrong


@pytest.fixture
def scene(world, sink):
    return Scene(world, sink)


def crash_everywhere(scene, count, seed=20261121):
    """Crashes spread over all boundaries (one in ten of them a process of its own), and as many moments."""
    draw = random.Random(seed)
    at_boundaries = count * 3 // 4
    found = {}
    for number in range(at_boundaries):
        deadly = (number * scene.count + draw.randrange(scene.count)) // at_boundaries
        found[f"boundary {deadly}"] = scene.crash(deadly, is_process=number % 10 == 9)
    for _ in range(count - at_boundaries):
        moment = draw.uniform(0, scene.seconds)
        found[f"after {moment:.4f} s"] = scene.crash(None, moment)
    assert scene.count_spared <= max(1, count // 20)
    wrong = {where: what for where, what in found.items() if what}
    assert not wrong, f"seed {seed}, {scene.count} boundaries"


def test_a_crash_at_a_dozen_boundaries_and_moments_changes_nothing(scene):
    crash_everywhere(scene, 12)


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_a_crash_at_a_hundred_boundaries_and_moments_changes_nothing(scene, pytestconfig):
    crash_everywhere(scene, pytestconfig.getoption("--crashes"))
