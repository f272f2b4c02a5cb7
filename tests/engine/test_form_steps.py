"""Form steps through the engine, to a real receiver: what arrives, who is asked, what counts, killed."""

import asyncio
import multiprocessing
import signal
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import httpx
import pytest

from pipeline.engine.forecast import forecast
from pipeline.engine.preview import preview_step
from pipeline.engine.replay import replay
from pipeline.engine.story import tell_story
from pipeline.inbound.server import create_app
from pipeline.settings import DripError
from tests.engine.dying import die_at_line

MAIL = "  - {id: %s, channel: email, subject: Hi, body: templates/hello.md%s}\n"
FORM = "  - {id: %s, channel: form%s}\n"
HELLO = "payload: {message: Hello}"
WHO = "payload: {who: '{{ email }}'}"

forks = multiprocessing.get_context("forkserver")


def step(form, name, rest=HELLO):
    return form % (name, f", {rest}" if rest else "")


def outcomes(world):
    return world.rows(
        "select step_id, w.outcome, w.reason from why_outcomes as w "
        "inner join steps using (version_id, step_ix) "
        "order by w.planned_at, step_ix, w.outcome desc, w.enrollment_id"
    )


class Site(BaseHTTPRequestHandler):
    """Answers by the server's script, 200 when it is over; a word is what happens instead."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.taken.append((self.path, headers, fields))
        answer = self.server.script.pop(0) if self.server.script else 200
        if answer == "drop":
            self.close_connection = True
            return
        self.send_response(answer)
        if 300 <= answer < 400:
            self.send_header("location", "/thanks")
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self):
        self.server.taken.append((self.path, {}, "looked at"))
        self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def site(world):
    """A site with a form, and a sender that fills it in; nothing is there to sign with."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.taken, server.script = [], []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    workspace = world.folder / "workspace.yml"
    url = f"http://127.0.0.1:{server.server_port}/contact?room=1"
    senders = '  site: {channel: form, transport: out, address: "Ann Lee <ann@example.com>"}\n'
    text = workspace.read_text().replace("goals:", senders + "goals:")
    text += f"transports: {{out: {{kind: http, url: '{url}'}}, maildir: {{kind: maildir}}}}\n"
    workspace.write_text(text)
    yield server
    server.shutdown()
    server.server_close()


def fields(site):
    return [dict(found) for _, _, found in site.taken]


FILLED = """
  - id: a
    channel: form
    payload:
      your-name: "{{ first_name }} & {{ sender_name }}"
      "Größe [cm]": 1.75
      seats: 12
      consent: true
      robot: false
      fax: ~
      empty: ""
      url: "{{ context.page | default('https://a.example/?a=1&b=2+3%20#x') }}"
      message: |
        Grüße aus Köln = 100 %;
        zwei "Zeilen" + 日本語 🙂
"""


def test_the_fields_arrive_as_they_were_meant_and_nothing_else_does(world, site):
    world.sequence("one", FILLED.lstrip("\n"))
    world.leads(1, first_name="Zoë=1&x=2\u2028", last_name="Unasked")
    assert world.tick().counts["handed_over"] == 1
    ((path, headers, told),) = site.taken
    assert path == "/contact?room=1"
    assert told == [
        ("your-name", "Zoë=1&x=2\u2028 & Ann Lee"),
        ("Größe [cm]", "1.75"),
        ("seats", "12"),
        ("consent", "true"),
        ("robot", "false"),
        ("empty", ""),
        ("url", "https://a.example/?a=1&b=2+3%20#x"),
        ("message", 'Grüße aus Köln = 100 %;\nzwei "Zeilen" + 日本語 🙂'),
    ]
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["user-agent"] == "Driplab"
    assert not [name for name in headers if name.startswith("webhook")]
    assert world.rows("select channel, sender, status, message_id from send_status") == [
        ("form", "site", "handed_over", None)
    ]
    assert outcomes(world) == [("a", "sent", None)]


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        pytest.param(204, "sent", None, id="204"),
        pytest.param(302, "sent", None, id="302"),
        pytest.param(303, "sent", None, id="303"),
        pytest.param(301, "refused", "301 Moved Permanently: redirects are not followed", id="301"),
        pytest.param(
            307, "refused", "307 Temporary Redirect: redirects are not followed", id="307"
        ),
        pytest.param(422, "refused", "422", id="422"),
        pytest.param("drop", "unknown", None, id="no answer"),
    ],
)
def test_an_answer_says_whether_it_was_taken_and_nobody_goes_where_it_points(
    world, site, answer, outcome, reason
):
    site.script = [answer]
    world.sequence("one", step(FORM, "a") + step(MAIL, "m", ""))
    world.leads(1)
    world.tick_until(world.now + timedelta(hours=1))
    (name, what, why), after = outcomes(world)
    assert (name, what) == ("a", outcome)
    assert reason is None or why.startswith(reason)
    assert after == ("m", "sent", None)  # the flow goes on
    assert [path for path, _, _ in site.taken] == ["/contact?room=1"]


def test_a_form_that_is_busy_is_tried_again_and_the_last_answer_counts(world, site):
    site.script = [500, 429, 303]
    world.sequence("one", step(FORM, "a", f"{HELLO}, retry: {{attempts: 3, backoff: 1m}}"))
    world.leads(1)
    begun, moments = world.now, []
    while len(site.taken) < 3:
        due = world.tick().next_at
        moments.append(int((world.now - begun).total_seconds()))
        world.now = due or world.now
    assert moments == [0, 60, 360]  # R7: after a 4xx five minutes at least
    assert fields(site) == [{"message": "Hello"}] * 3
    assert outcomes(world) == [("a", "sent", None)]
    assert world.rows("select status from send_outcomes order by attempt") == [
        ("retry",),
        ("retry",),
        ("handed_over",),
    ]


@pytest.mark.parametrize(
    ("line", "is_after", "requests", "outcome"),
    [
        pytest.param(0, False, 1, "sent", id="before begin"),
        pytest.param(0, True, 0, "unknown", id="after begin"),
        pytest.param(1, False, 1, "unknown", id="before end"),
        pytest.param(1, True, 1, "sent", id="after end"),
    ],
)
def test_killed_at_a_line_of_the_journal_a_form_is_never_filled_in_twice(
    world, site, line, is_after, requests, outcome
):
    world.sequence("one", step(FORM, "a") + step(MAIL, "m", ""))
    world.leads(1)
    child = forks.Process(target=die_at_line, args=(world.settings, world.now, line, is_after))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    world.tick_until(world.now + timedelta(hours=1))
    assert outcomes(world) == [("a", outcome, None), ("m", "sent", None)]
    assert len(site.taken) == requests


def test_a_form_is_a_contact_and_counts_for_every_limit_of_a_lead(world, site):
    gap = "limits: {per_lead: 3, contact_gap: 6h}\n"
    world.sequence("one", step(FORM, "a") + step(FORM, "b") + step(MAIL, "m", ""), gap)
    world.leads(1)
    world.tick()
    world.tick(hours=5)
    assert outcomes(world)[1][:2] == ("b", "postponed")
    assert world.rows("select distinct reason from why where outcome = 'postponed'") == [
        ("contact_gap",)
    ]
    world.tick(hours=1)
    world.tick(hours=5)
    assert (len(site.taken), len(world.mail())) == (2, 0)
    world.tick(hours=1)
    assert (len(site.taken), len(world.mail())) == (2, 1)
    assert world.rows("select distinct status from lead_status") == [("contacted",)]


def test_a_form_takes_its_place_in_the_limits_of_sequence_and_sender(world, site):
    world.sequence("one", step(FORM, "a"), "limits: {per_day: 2}\n")
    world.sequence("two", step(FORM, "b"))
    workspace = world.folder / "workspace.yml"
    limited = workspace.read_text().replace(
        "transport: out", "transport: out, limits: {per_day: 3}"
    )
    workspace.write_text(limited)
    world.leads(4)
    world.land(
        leads=[
            {"external_id": f"x{n}", "phone": f"+1555020000{n}", "source": "TWO"} for n in range(4)
        ]
    )
    world.tick()
    reasons = "select reason, count(*) from why where outcome = 'postponed' group by all"
    assert len(site.taken) == 3
    assert dict(world.rows(reasons)) == {"sequence_cap": 2, "sender_cap": 3}
    world.tick_until(world.now + timedelta(days=3))
    assert len(site.taken) == 8


def test_nobody_who_wants_no_more_of_us_is_put_into_a_form(world, site):
    goes_on = "react: {unsubscribed: continue}\nlimits: {per_lead: 9}\n"
    out = "payload: {message: 'No more: {{ unsubscribe }}', who: '{{ email }}'}"
    steps = step(FORM, "a", out) + step(FORM, "b", f"{WHO}, after: 1d") + step(MAIL, "m", "")
    world.sequence("one", steps, goes_on)
    world.leads(4)
    world.tick()
    links = {told["who"]: told["message"].removeprefix("No more: ") for told in fields(site)}
    assert click(world, links["u0@example.com"]) == 200
    world.event("unsubscribed", email="u1@example.com")  # mails only
    world.land(
        source="operator",
        commands=[{"kind": "do_not_contact", "lead": {"email": "u2@example.com"}}],
    )
    world.tick(hours=1)
    world.tick(days=1)
    told = [found["who"] for found in fields(site)][4:]
    assert sorted(told) == ["u1@example.com", "u3@example.com"]
    assert world.rows("select distinct channel from suppressions order by all") == [
        ("email",),
        ("form",),
        (None,),
    ]
    assert [row for row in outcomes(world) if row[0] == "b"] == [
        ("b", "skipped", "unsubscribed"),
        ("b", "sent", None),
        ("b", "sent", None),
    ]
    assert sorted(mail["To"] for mail in world.mail()) == ["u0@example.com", "u3@example.com"]


def test_a_form_asks_for_an_address_only_where_it_names_one(world, site):
    either = "payload: {plan: \"{{ plan | default('none') }}\"}"
    world.sequence("one", step(FORM, "a", either) + step(FORM, "b", WHO))
    world.leads(1, email=None, phone=None, external_id="x1")
    world.tick()
    assert fields(site) == [{"plan": "none"}]
    (first, second) = outcomes(world)
    assert first == ("a", "sent", None)
    assert second[:2] == ("b", "refused")
    assert "payload.who" in second[2]
    assert "`email` has no value" in second[2]


def test_whom_a_form_goes_to_is_never_of_a_lead(world, site):
    world.sequence("one", step(FORM, "a", "payload: {'{{ email }}': '{{ first_name }}'}"))
    world.leads(1, first_name="http://127.0.0.1:1/elsewhere")
    world.tick()
    ((path, headers, told),) = site.taken
    assert path == "/contact?room=1"
    assert headers["host"] == f"127.0.0.1:{site.server_port}"
    assert told == [("{{ email }}", "http://127.0.0.1:1/elsewhere")]


def test_conditions_lateness_and_holdouts_hold_for_forms(world, site):
    steps = step(FORM, "a", f"{HELLO}, when: lead.plan = 'pro'")
    steps += step(FORM, "b", f"{HELLO}, after: 1h, late: {{after: 1h, then: skip}}")
    world.sequence("one", steps + step(FORM, "c", f"{HELLO}, holdout: 100%"))
    world.leads(1, attributes={"plan": "free"})
    world.tick()
    world.tick(hours=3)
    assert outcomes(world) == [
        ("a", "skipped", "condition"),
        ("b", "skipped", "late"),
        ("c", "held_out", "step_holdout"),
    ]
    assert site.taken == []


def test_delays_and_presence_can_be_tested_on_a_form(world, site):
    test = (
        "experiment: {id: x_1, control: now, metric: replied, window: 7d, "
        "variants: [{id: now}, {id: later, after: 5h}]}"
    )
    there = test.replace("x_1", "x_2").replace("after: 5h", "present: false")
    steps = step(MAIL, "m", "") + step(FORM, "a", f"{WHO}, after: 1h, {test}")
    world.sequence("one", steps + step(FORM, "b", f"payload: {{b: x}}, after: 1d, {there}"))
    world.leads(20)
    world.tick()
    world.tick(hours=1)
    soon = len(site.taken)
    assert 0 < soon < 20
    world.tick(hours=4)
    assert len(site.taken) == 20
    world.tick_until(world.now + timedelta(days=2))
    assert 0 < len(site.taken) - 20 < 20


def test_a_webhook_beside_it_still_needs_its_secret(world, site):
    workspace = world.folder / "workspace.yml"
    text = workspace.read_text()
    workspace.write_text(
        text.replace("goals:", "  hook: {channel: webhook, transport: out}\ngoals:")
    )
    world.sequence("one", step(FORM, "a"))
    world.leads(1)
    with pytest.raises(DripError, match="DRIP_HTTP_SECRET"):
        world.tick()
    assert site.taken == []
    workspace.write_text(text)
    world.tick()
    assert outcomes(world) == [("a", "sent", None)]


def test_a_sender_that_went_over_to_another_channel_sends_nothing_of_the_old_one(world, site):
    site.script = [503]
    world.sequence("one", step(FORM, "a"))
    world.leads(1)
    world.tick()
    workspace = world.folder / "workspace.yml"
    workspace.write_text(workspace.read_text().replace("channel: form", "channel: webhook"))
    world.settings = world.settings.model_copy(update={"http_secret": "whsec_" + "dGVz" * 8})
    world.sequence("one", step(MAIL, "m", ""))
    world.tick(hours=1)
    ((name, outcome, reason),) = outcomes(world)
    assert (name, outcome) == ("a", "refused")
    assert "'site' sends webhook now, and this is form" in reason
    assert len(site.taken) == 1


def test_it_is_shown_foreseen_told_and_replayed(world, site):
    world.sequence("one", step(FORM, "a", WHO) + step(FORM, "b", f"{HELLO}, after: 1d"))
    world.leads(3)
    start = world.now
    world.tick()
    days = forecast(world.settings, start + timedelta(minutes=1), days=3).messages
    assert [(row["sender"], row["channel"], row["messages"]) for row in days] == [
        ("site", "form", 3)
    ]
    shown = preview_step(
        world.settings, "one", "a", lead="u1@example.com", variant=None, now=world.now
    )
    assert shown["text"] == "who: u1@example.com"
    assert shown["headers"] == [("Content-Type", "application/x-www-form-urlencoded")]
    world.tick_until(start + timedelta(days=3))
    story = [row["detail"] for row in tell_story(world.settings, "u1@example.com")]
    assert "one/b by form" in story
    taken = len(site.taken)
    assert replay(world.settings, "one").differences == []
    world.sequence("one", step(FORM, "a", WHO) + step(FORM, "b", f"{HELLO}, after: 2h"))
    found = replay(world.settings, "one")
    assert {(row["step_id"], row["change"]) for row in found.differences} == {("b", "earlier")}
    assert len(site.taken) == taken  # nobody is asked to find that out


def click(world, link):
    """Press the button behind a link, at the inbound server."""

    async def press():
        app = create_app(world.home, world.settings, workspace_name="Test", now=lambda: world.now)
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 5))
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await client.post(link, content="List-Unsubscribe=One-Click")
        app.close()
        return answer.status_code

    return asyncio.run(press())
