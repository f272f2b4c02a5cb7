"""Webhook steps through the engine, to a real receiver: once, signed, tried again, killed."""

import json
import multiprocessing
import signal
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.engine.dying import die_at_line

MAIL = "  - {id: %s, channel: email, subject: Hi, body: templates/hello.md%s}\n"
HOOK = "  - {id: %s, channel: webhook%s}\n"
SECRET = "whsec_" + "dGVz" * 8


forks = multiprocessing.get_context("forkserver")


def step(form, name, rest=""):
    return form % (name, f", {rest}" if rest else "")


def outcomes(world):
    return world.rows(
        "select step_id, w.outcome, w.reason from why_outcomes as w "
        "inner join steps using (version_id, step_ix) order by w.planned_at, step_ix, w.outcome"
    )


class Hooks(BaseHTTPRequestHandler):
    """Answers by the server's script, 204 when it is over; a word is what happens instead."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append((dict(self.headers), json.loads(body)))
        answer = self.server.script.pop(0) if self.server.script else 204
        if answer == "drop":
            self.close_connection = True
            return
        self.send_response(answer)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hooks(world):
    """A receiver of webhooks, and a sender that reports to it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hooks)
    server.taken, server.script = [], []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    workspace = world.folder / "workspace.yml"
    text = workspace.read_text().replace(
        "goals:", "  hook: {channel: webhook, transport: out}\ngoals:"
    )
    url = f"http://127.0.0.1:{server.server_port}/in"
    text += f"transports: {{out: {{kind: http, url: '{url}'}}, maildir: {{kind: maildir}}}}\n"
    workspace.write_text(text)
    world.settings = world.settings.model_copy(update={"http_secret": SECRET})
    yield server
    server.shutdown()
    server.server_close()


def test_a_webhook_goes_out_once_signed_and_is_no_contact(world, hooks):
    head = "limits: {per_lead: 1, per_day: 1}\n"
    payload = "payload: {who: '{{ email }}', plan: '{{ plan | default(1) }}'}"
    world.sequence("one", step(HOOK, "a", payload) + step(HOOK, "b") + step(MAIL, "m"), head)
    world.leads(1, phone=None)
    assert world.tick().counts["handed_over"] == 3
    assert outcomes(world) == [("a", "sent", None), ("b", "sent", None), ("m", "sent", None)]
    (headers, body), (_, other) = hooks.taken
    assert body["type"] == "step.a"
    assert body["data"] == {"send_id": 1, "payload": {"who": "u0@example.com", "plan": "1"}}
    assert other["data"]["payload"] == {"email": "u0@example.com"}
    assert headers["webhook-id"] == "1"
    assert int(headers["webhook-timestamp"]) == int(world.now.timestamp())
    assert world.rows("select channel, sender, message_id from send_status order by send_id")[
        0
    ] == (
        "webhook",
        "hook",
        "1",
    )


def test_a_webhook_is_tried_again_with_the_same_id_and_refused_in_the_end(world, hooks):
    hooks.script = [503, 429, 500]
    world.sequence("one", step(HOOK, "a", "retry: {attempts: 3, backoff: 1m}"))
    world.leads(1)
    begun = world.now
    world.tick_until(world.now + timedelta(hours=1))
    assert [headers["webhook-id"] for headers, _ in hooks.taken] == ["1", "1", "1"]
    # R7: a minute after the first; after a 4xx five minutes at least
    assert [
        int(headers["webhook-timestamp"]) - int(begun.timestamp()) for headers, _ in hooks.taken
    ] == [0, 60, 360]
    assert outcomes(world) == [("a", "refused", "500 Internal Server Error")]


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        pytest.param([404], ("a", "refused", "404 Not Found"), id="404"),
        pytest.param([302], ("a", "refused", "302 Found: redirects are not followed"), id="302"),
        pytest.param(["drop"], ("a", "unknown", None), id="no answer"),
    ],
)
def test_what_a_receiver_does_not_take_is_not_sent_again(world, hooks, script, outcome):
    hooks.script = script
    world.sequence("one", step(HOOK, "a") + step(MAIL, "m"))
    world.leads(1)
    world.tick_until(world.now + timedelta(hours=1))
    told = outcomes(world)
    assert told[0][:2] == outcome[:2]
    assert outcome[2] is None or told[0][2] == outcome[2]
    assert told[1] == ("m", "sent", None)  # the flow goes on
    assert len(hooks.taken) == 1


def test_an_event_about_a_webhook_finds_its_lead_by_the_send(world, hooks):
    world.sequence(
        "one",
        step(HOOK, "a")
        + "  - {id: w, wait_for: {event: custom, name: packed, timeout: 2d}}\n"
        + step(MAIL, "m"),
    )
    world.leads(2)
    world.tick()
    world.event("custom", name="packed", send_id=hooks.taken[1][1]["data"]["send_id"])
    assert world.tick(hours=1).counts["handed_over"] == 1
    (mail,) = world.mail()
    assert mail["To"] == hooks.taken[1][1]["data"]["payload"]["email"]


@pytest.mark.parametrize(
    ("line", "is_after", "requests", "outcome"),
    [
        pytest.param(0, False, 1, "sent", id="before begin"),
        pytest.param(0, True, 0, "unknown", id="after begin"),
        pytest.param(1, False, 1, "unknown", id="before end"),
        pytest.param(1, True, 1, "sent", id="after end"),
    ],
)
def test_killed_at_a_line_of_the_journal_a_webhook_is_never_posted_twice(
    world, hooks, line, is_after, requests, outcome
):
    world.sequence("one", step(HOOK, "a") + step(MAIL, "m"))
    world.leads(1)
    child = forks.Process(target=die_at_line, args=(world.settings, world.now, line, is_after))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    world.tick()
    assert outcomes(world) == [("a", outcome, None), ("m", "sent", None)]
    assert len(hooks.taken) == requests
    world.tick_until(world.now + timedelta(hours=1))
    assert len(hooks.taken) == requests
