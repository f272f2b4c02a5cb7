"""Promise 1 by real processes: kill -9 in the middle of handing over, real SMTP, nothing twice."""

import multiprocessing
import random
import signal
import socket
import time
from collections import Counter
from datetime import UTC, datetime

import pytest
from aiosmtpd.controller import Controller

from pipeline.engine.status import count_outcomes
from pipeline.engine.tick import tick
from pipeline.settings import Settings

CONCURRENCY = 5
KILLS = 20
LEADS = 120
MAIL = "  - {{id: a, channel: email, subject: {}, body: templates/hello.md}}\n"
MONDAY = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


class Sink:
    """Takes mail, slowly enough to be killed in the middle, and remembers who got what."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []

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
forks.set_forkserver_preload(["pipeline.engine.tick"])


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
