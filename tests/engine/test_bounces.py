"""A server that says that an address does not exist: a bounce, not only a refusal (R20)."""

import socket

import pytest
from aiosmtpd.controller import Controller

MAIL = "  - {id: %s, channel: email, subject: Hi, body: templates/hello.md%s}\n"
STEPS = MAIL % ("a", "") + MAIL % ("b", ", after: 1h")


class Server:
    """Says to every recipient what the test wants."""

    def __init__(self):
        self.answer = "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        return "250 OK"


@pytest.fixture
def server(world):
    """A mail server on loopback, through which the workspace writes."""
    handler = Server()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    workspace = world.folder / "workspace.yml"
    text = workspace.read_text().replace(
        'address: "Ann <ann@example.com>"', 'address: "Ann <ann@example.com>", transport: out'
    )
    workspace.write_text(
        f"{text}transports: {{out: {{kind: smtp, host: 127.0.0.1, port: {port}, tls: none}}}}\n"
    )
    yield handler
    controller.stop()


@pytest.mark.parametrize(
    "answer",
    [
        "550 5.1.1 The email account that you tried to reach does not exist",
        "550 No such user here",
        "553 5.1.3 Bad destination mailbox address syntax",
        "550 Requested action not taken: mailbox unavailable, user unknown",
        "550-5.1.1 unknown",
    ],
)
def test_an_address_that_does_not_exist_is_a_bounce(world, server, answer):
    world.sequence("one", STEPS)
    world.leads(1)
    server.answer = answer.replace("550-", "550 ")
    world.tick()
    assert world.rows("select channel, reason from suppressions") == [("email", "bounced")]
    assert world.rows("select kind, source, send_id, step_ix from events") == [
        ("bounced", "dispatcher", 1, 0)
    ]
    assert world.rows("select status, reason from enrollment_ends") == [("exited", "bounced")]
    assert world.rows("select status from send_outcomes") == [("refused",)]


@pytest.mark.parametrize(
    "answer",
    [
        "550 5.7.1 Message rejected as spam",
        "554 5.7.1 Sender unknown to us",
        "550 Blocked: see our policy",
        "552 5.2.2 Mailbox full",
    ],
)
def test_a_refusal_of_the_message_suppresses_nobody(world, server, answer):
    world.sequence("one", STEPS)
    world.leads(1)
    server.answer = answer
    world.tick()
    assert world.rows("select * from suppressions") == []
    assert world.rows("select status, step_ix from live") == [("waiting", 1)]


def test_where_a_bounce_goes_on_no_later_mail_goes_to_the_address(world, server):
    world.sequence("one", STEPS, "react: {bounced: continue}\n")
    world.leads(1)
    server.answer = "550 5.1.1 No such user"
    world.tick()
    server.answer = "250 OK"
    world.tick(hours=1)
    assert world.rows("select outcome, reason from why_outcomes where step_ix = 1") == [
        ("skipped", "bounced")
    ]


def test_a_bounce_may_pause(world, server):
    world.sequence("one", STEPS, "react: {bounced: pause}\n")
    world.leads(1)
    server.answer = "550 5.1.1 No such user"
    world.tick()
    assert world.rows("select reason from enrollment_pauses") == [("bounced",)]
    assert world.rows("select is_paused, step_ix from live") == [(True, 1)]


def test_a_number_that_bounces_bounces_for_everybody_who_has_it(world, server):
    world.sequence("one", "  - {id: a, channel: sms, text: Hi}\n")
    world.land(
        leads=[
            {"email": f"u{i}@example.com", "phone": "+15550100000", "source": source}
            for i, source in enumerate(("ONE", "OTHER"))
        ]
    )
    server.answer = "550 5.1.1 No such user"
    world.tick()
    assert world.rows("select count(*), count(distinct lead_id) from suppressions") == [(2, 2)]
