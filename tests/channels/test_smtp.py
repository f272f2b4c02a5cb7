"""Every answer of a mail server, played by a real one on loopback."""

import asyncio
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from pipeline.channels.smtp import SmtpTransport
from pipeline.channels.transport import Outcome, TransportUnavailable, UnknownOutcome
from pipeline.messages.compose import Message
from pipeline.settings import DripError

BODY = b"From: a@example.com\r\nSubject: Hi\r\n\r\n.dot first\r\nline\r\n"


def message(to: str = "ann.lee@example.net") -> Message:
    return Message(7, "email", "sales@example.com", to, BODY, "<7.abc@example.com>")


@dataclass
class Sink:
    """Answers the body by script, `250` when the script is over."""

    on_rcpt: list[str] = field(default_factory=list)
    on_body: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    sessions: set[int] = field(default_factory=set)

    async def handle_RCPT(  # noqa: N802 - the server's word
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.sessions.add(id(session))
        answer = self.on_rcpt.pop(0) if self.on_rcpt else "250 ok"
        if answer == "drop":
            server.transport.abort()
        else:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802 - the server's word
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        answer = self.on_body.pop(0) if self.on_body else "250 ok"
        if answer.startswith("250"):
            self.bodies.append(bytes(envelope.original_content))
        if answer == "drop":
            server.transport.abort()
        if answer == "slow":
            await asyncio.sleep(0.5)
        return "250 late" if answer == "slow" else answer


@pytest.fixture
def sink() -> Sink:
    return Sink()


def spec(port: int, **settings: Any) -> Any:
    given = {"host": "127.0.0.1", "username": None, "tls": "none", **settings}
    return SimpleNamespace(kind="smtp", port=port, **given)


class Begun:
    """Counts the journal's `begin`."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> None:
        self.count += 1


def play(
    sink: Sink,
    script: Callable[[SmtpTransport, Begun], Awaitable[Any]],
    *,
    server: Mapping[str, Any] = MappingProxyType({}),
    **settings: Any,
) -> tuple[Any, int]:
    """Run a script with a server and one transport; return its result and the bodies begun."""

    async def run() -> tuple[Any, int]:
        begun = Begun()
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: SMTP(sink, hostname="localhost", loop=loop, **server), "127.0.0.1", 0
        )
        port = settings.pop("port", listener.sockets[0].getsockname()[1])
        transport = SmtpTransport(
            "relay", spec(port, **settings), "secret", command_seconds=5, body_seconds=0.3
        )
        try:
            return await script(transport, begun), begun.count
        finally:
            await transport.close()
            listener.close()
            await listener.wait_closed()

    return asyncio.run(run())


def deliver_once(sink: Sink) -> tuple[Outcome, int]:
    return play(sink, lambda transport, begun: transport.deliver(message(), begun))


def test_an_accepted_message_is_handed_over_with_its_message_id_and_whole(sink: Sink) -> None:
    outcome, begun = deliver_once(sink)
    assert outcome == Outcome("handed_over", None, "<7.abc@example.com>")
    assert begun == 1
    assert sink.bodies == [BODY]
    assert message_from_bytes(sink.bodies[0], policy=default)["subject"] == "Hi"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param("421 4.3.2 shutting down", "retry", id="421"),
        pytest.param("450 4.2.1 ann.lee is busy", "retry", id="450"),
        pytest.param("550 5.1.1 <ann.lee@example.net>: unknown", "refused", id="550"),
    ],
)
def test_a_declined_recipient_is_classified_without_a_begun_body(
    sink: Sink, answer: str, status: str
) -> None:
    sink.on_rcpt = [answer]
    outcome, begun = deliver_once(sink)
    assert outcome.status == status
    assert begun == 0
    assert answer[:9] in outcome.reason
    assert "ann.lee" not in outcome.reason


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param("421 4.3.2 shutting down", "retry", id="421"),
        pytest.param("450 4.7.1 greylisted", "retry", id="450"),
        pytest.param("550 5.7.1 spam", "refused", id="550"),
    ],
)
def test_a_declined_body_is_definite_and_the_next_message_goes_through(
    sink: Sink, answer: str, status: str
) -> None:
    sink.on_body = [answer]

    async def two(transport: SmtpTransport, begun: Begun) -> list[Outcome]:
        return [await transport.deliver(message(), begun) for _ in range(2)]

    outcomes, begun = play(sink, two)
    assert [outcome.status for outcome in outcomes] == [status, "handed_over"]
    assert outcomes[0].reason == answer
    assert begun == 2
    assert len(sink.bodies) == 1


@pytest.mark.parametrize("answer", ["drop", "slow"])
def test_a_body_without_an_answer_is_unknown_and_the_next_message_goes_through(
    sink: Sink, answer: str
) -> None:
    sink.on_body = [answer]

    async def script(transport: SmtpTransport, begun: Begun) -> Outcome:
        with pytest.raises(UnknownOutcome):
            await transport.deliver(message(), begun)
        return await transport.deliver(message(), begun)

    outcome, begun = play(sink, script)
    assert outcome.status == "handed_over"
    assert begun == 2


def test_a_connection_lost_before_the_body_is_made_anew_once_for_a_reused_connection(
    sink: Sink,
) -> None:
    async def script(transport: SmtpTransport, begun: Begun) -> list[str]:
        first = await transport.deliver(message(), begun)
        sink.on_rcpt = ["drop"]
        second = await transport.deliver(message(), begun)
        return [first.status, second.status]

    assert play(sink, script) == (["handed_over", "handed_over"], 2)
    assert len(sink.bodies) == 2


def test_a_fresh_connection_lost_before_the_body_is_a_retry(sink: Sink) -> None:
    sink.on_rcpt = ["drop"]
    outcome, begun = deliver_once(sink)
    assert (outcome.status, begun) == ("retry", 0)


def test_one_connection_serves_many_messages(sink: Sink) -> None:
    async def script(transport: SmtpTransport, begun: Begun) -> None:
        await transport.open()
        await transport.open()
        for _ in range(5):
            await transport.deliver(message(), begun)

    assert play(sink, script)[1] == 5
    assert len(sink.sessions) == 1


def test_a_failing_journal_keeps_the_body_back(sink: Sink) -> None:
    async def full_disk() -> None:
        raise OSError("disk full")

    async def script(transport: SmtpTransport, begun: Begun) -> Outcome:
        with pytest.raises(OSError, match="disk full"):
            await transport.deliver(message(), full_disk)
        assert sink.bodies == []
        return await transport.deliver(message(), begun)

    assert play(sink, script)[0].status == "handed_over"


def test_a_connection_that_ends_while_the_journal_is_written_is_a_retry(sink: Sink) -> None:
    async def script(transport: SmtpTransport, _: Begun) -> Outcome:
        return await transport.deliver(message(), transport.close)

    assert play(sink, script)[0].status == "retry"
    assert sink.bodies == []


def test_a_cancelled_hand_over_leaves_no_half_used_connection(sink: Sink) -> None:
    sink.on_body = ["slow"]

    async def script(transport: SmtpTransport, begun: Begun) -> Outcome:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transport.deliver(message(), begun), 0.1)
        return await transport.deliver(message(), begun)

    assert play(sink, script)[0].status == "handed_over"


def test_a_server_that_is_away_is_a_retry_and_open_says_what_to_check(sink: Sink) -> None:
    async def script(transport: SmtpTransport, begun: Begun) -> Outcome:
        with pytest.raises(TransportUnavailable, match=r"127\.0\.0\.1:1 .* Check host, port"):
            await transport.open()
        return await transport.deliver(message(), begun)

    outcome, begun = play(sink, script, port=1)
    assert (outcome.status, begun) == ("retry", 0)


def test_closing_twice_is_harmless(sink: Sink) -> None:
    async def script(transport: SmtpTransport, _: Begun) -> None:
        await transport.open()
        await transport.close()
        await transport.close()

    play(sink, script)


@pytest.mark.parametrize(
    ("settings", "password", "words"),
    [
        pytest.param({"host": None}, "", "has no host", id="no host"),
        pytest.param(
            {"host": "mail.example.com", "username": "a"}, "secret", "in the clear", id="clear"
        ),
        pytest.param({"username": "a"}, "", "DRIP_SMTP_PASSWORD", id="no password"),
    ],
)
def test_contradicting_settings_are_refused(
    settings: dict[str, Any], password: str, words: str
) -> None:
    with pytest.raises(DripError, match=words):
        SmtpTransport("relay", spec(25, **settings), password)


class Login:
    """Lets one user in."""

    def __call__(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        is_right = (data.login, data.password) == (b"relay", b"secret")
        return AuthResult(success=is_right, handled=False)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize(
    ("username", "is_let_in"), [pytest.param("relay", True), pytest.param("other", False)]
)
def test_a_login_is_made_or_its_refusal_reported(
    sink: Sink, username: str, is_let_in: bool
) -> None:
    server = {"authenticator": Login(), "auth_require_tls": False, "auth_required": True}
    outcome, _ = play(
        sink,
        lambda transport, begun: transport.deliver(message(), begun),
        server=server,
        username=username,
    )
    assert outcome.status == ("handed_over" if is_let_in else "retry")
    assert is_let_in or outcome.reason.startswith("535")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    try:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", path, "-out", path.with_suffix(".crt")],
            check=True, capture_output=True,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("openssl is not installed, so no certificate can be made")
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.mark.parametrize("is_trusted", [True, False])
def test_starttls_goes_through_with_a_trusted_certificate_only(
    sink: Sink, certificate: Path, is_trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    outcome, _ = play(
        sink,
        lambda transport, begun: transport.deliver(message(), begun),
        server={"tls_context": context, "require_starttls": True},
        tls="starttls",
    )
    assert outcome.status == ("handed_over" if is_trusted else "retry")
    assert len(sink.bodies) == int(is_trusted)
