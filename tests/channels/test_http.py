"""Every answer of a receiver, played by a real server on loopback, byte by byte."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from pipeline.channels.http import HttpTransport
from pipeline.channels.transport import Outcome, TransportUnavailable, UnknownOutcome
from pipeline.messages.compose import Message
from pipeline.settings import DripError

SECRET = "whsec_" + "dGVz" * 8
BODY = '{"type":"step.tell","data":{"name":"Zoë"}}'.encode()
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def form(send_id: int = 7) -> Message:
    return Message(send_id, "form", "", "", b"name=Zo%C3%AB&text=a%26b%0Ac", "")


def message(send_id: int = 7) -> Message:
    return Message(send_id, "webhook", "", "", BODY, str(send_id))


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Receiver:
    """Answers requests by script, 204 when the script is over; `None` never answers."""

    script: list[Any] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (x.split(": ", 1) for x in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((first, headers, body))
        told = self.script.pop(0) if self.script else OK
        if told is None:
            await asyncio.sleep(60)
        if told == "drop":
            return False
        for part in told if isinstance(told, list) else [told]:
            if isinstance(part, float):
                await asyncio.sleep(part)
            else:
                writer.write(part)
                await writer.drain()
        return True


class Begun:
    """Counts the journal's `begin`, and how many requests the receiver had by then."""

    def __init__(self, receiver: Receiver) -> None:
        self.count = 0
        self.seen: list[int] = []
        self._receiver = receiver

    async def __call__(self) -> None:
        self.count += 1
        await asyncio.sleep(0.01)  # an fsync takes its time
        self.seen.append(len(self._receiver.requests))


def play(
    receiver: Receiver,
    script: Callable[[HttpTransport, Begun], Awaitable[Any]],
    *,
    port: int | None = None,
    answer_seconds: float = 0.4,
    secret: str | None = SECRET,
) -> tuple[Any, Begun]:
    """Run a script with a server and one transport; return its result and the requests begun."""

    async def run() -> tuple[Any, Begun]:
        begun = Begun(receiver)
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{port or server.sockets[0].getsockname()[1]}/in?room=1"
        transport = HttpTransport(
            "hook",
            url,
            secret,
            lambda: datetime.now(UTC),
            connect_seconds=0.5,
            answer_seconds=answer_seconds,
        )
        try:
            return await script(transport, begun), begun
        finally:
            await transport.close()
            server.close()

    return asyncio.run(run())


def deliver_once(receiver: Receiver, **options: Any) -> tuple[Outcome, Begun]:
    return play(receiver, lambda way, begun: way.deliver(message(), begun), **options)


def test_a_request_is_whole_signed_and_carries_the_send_as_its_id() -> None:
    receiver = Receiver()
    outcome, begun = deliver_once(receiver)
    assert outcome == Outcome("handed_over", None, "7")
    ((first, headers, body),) = receiver.requests
    assert (first, body) == ("POST /in?room=1 HTTP/1.1", BODY)
    assert headers["webhook-id"] == "7"
    assert headers["content-type"] == "application/json"
    assert Webhook(SECRET).verify(body, headers)
    assert begun.seen == [0]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        pytest.param("200 OK", "handed_over", id="200"),
        pytest.param("202 Accepted", "handed_over", id="202"),
        pytest.param("400 Bad Request", "refused", id="400"),
        pytest.param("401 Unauthorized", "refused", id="401"),
        pytest.param("404 Not Found", "refused", id="404"),
        pytest.param("408 Request Timeout", "retry", id="408"),
        pytest.param("410 Gone", "refused", id="410"),
        pytest.param("429 Too Many Requests", "retry", id="429"),
        pytest.param("500 Internal Server Error", "retry", id="500"),
        pytest.param("503 Service Unavailable", "retry", id="503"),
    ],
)
def test_every_answer_has_one_meaning(status: str, outcome: str) -> None:
    receiver = Receiver([answer(status, b"words for nobody")])
    told, begun = deliver_once(receiver)
    assert told.status == outcome
    assert told.reason == (None if outcome == "handed_over" else status)
    assert begun.count == 1


def test_a_redirect_is_refused_and_never_followed() -> None:
    receiver = Receiver([answer("307 Temporary Redirect", b"", "Location: /elsewhere")])
    told, _ = deliver_once(receiver)
    assert told == Outcome("refused", "307 Temporary Redirect: redirects are not followed")
    assert len(receiver.requests) == 1


def post_form(receiver: Receiver) -> tuple[Outcome, Begun]:
    return play(receiver, lambda way, begun: way.deliver(form(), begun), secret=None)


def test_a_form_is_posted_as_a_browser_would_and_needs_no_secret() -> None:
    receiver = Receiver()
    outcome, begun = post_form(receiver)
    assert outcome == Outcome("handed_over", None, None)
    ((first, headers, body),) = receiver.requests
    assert (first, body) == ("POST /in?room=1 HTTP/1.1", form().data)
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["user-agent"] == "Driplab"
    assert not [name for name in headers if name.startswith("webhook-")]
    assert begun.seen == [0]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        pytest.param("200 OK", "handed_over", id="200"),
        pytest.param("302 Found", "handed_over", id="302"),
        pytest.param("303 See Other", "handed_over", id="303"),
        pytest.param("300 Multiple Choices", "refused", id="300"),
        pytest.param("301 Moved Permanently", "refused", id="301"),
        pytest.param("307 Temporary Redirect", "refused", id="307"),
        pytest.param("308 Permanent Redirect", "refused", id="308"),
        pytest.param("403 Forbidden", "refused", id="403"),
        pytest.param("408 Request Timeout", "retry", id="408"),
        pytest.param("429 Too Many Requests", "retry", id="429"),
        pytest.param("502 Bad Gateway", "retry", id="502"),
    ],
)
def test_a_form_says_see_elsewhere_when_it_took_something(status: str, outcome: str) -> None:
    receiver = Receiver([answer(status, b"", "Location: /thanks")])
    assert post_form(receiver)[0].status == outcome
    assert len(receiver.requests) == 1  # nobody looks there


def test_a_form_that_does_not_answer_is_unknown() -> None:
    with pytest.raises(UnknownOutcome):
        post_form(Receiver(["drop"]))


def test_words_of_an_answer_name_nobody() -> None:
    receiver = Receiver([answer("422 No ann.lee@example.net or +15551234567")])
    told, _ = deliver_once(receiver)
    assert told == Outcome("refused", "422 No <address> or <number>")


def test_where_nobody_listens_nothing_was_begun() -> None:
    told, begun = deliver_once(Receiver(), port=1)
    assert told.status == "retry"
    assert begun.count == 0


def test_an_answer_that_never_comes_is_unknown() -> None:
    receiver = Receiver([None])
    with pytest.raises(UnknownOutcome):
        deliver_once(receiver)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "told",
    [
        pytest.param("drop", id="gone without a word"),
        pytest.param([b"HTTP/1.1 2", 0.1, b"nonsense\r\n\r\n"], id="no HTTP"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Len", 5.0], id="half an answer"),
    ],
)
def test_an_answer_that_is_none_is_unknown(told: Any) -> None:
    with pytest.raises(UnknownOutcome):
        deliver_once(Receiver([told]))


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param([5.0], id="slow words"),
        pytest.param([b"x" * 200_000, 5.0], id="many words"),
    ],
)
def test_the_status_is_the_answer_whatever_becomes_of_its_words(rest: list[Any]) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n"
    outcome, _ = deliver_once(Receiver([[head, *rest]]))
    assert outcome.status == "handed_over"


def test_a_connection_is_kept_and_made_anew_after_a_failure() -> None:
    receiver = Receiver([OK, OK, None, OK])

    async def four(way: HttpTransport, begun: Begun) -> list[str]:
        told = []
        for send_id in range(4):
            try:
                told.append((await way.deliver(message(send_id), begun)).status)
            except UnknownOutcome:
                told.append("unknown")
        return told

    told, begun = play(receiver, four)
    assert told == ["handed_over", "handed_over", "unknown", "handed_over"]
    assert receiver.connections == 2
    assert begun.count == 4
    assert [headers["webhook-id"] for _, headers, _ in receiver.requests] == list("0123")


def test_without_its_line_in_the_journal_no_byte_goes_out() -> None:
    receiver = Receiver()

    async def fail() -> None:
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk"):
        play(receiver, lambda way, _: way.deliver(message(), fail))
    assert receiver.requests == []


def test_cancelled_in_the_middle_the_journal_says_begin_only() -> None:
    receiver = Receiver([None])

    async def cancel(way: HttpTransport, begun: Begun) -> None:
        task = asyncio.create_task(way.deliver(message(), begun))
        while not receiver.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    _, begun = play(receiver, cancel, answer_seconds=5)
    assert begun.count == 1


def test_opening_finds_an_address_that_nobody_answers() -> None:
    with pytest.raises(TransportUnavailable, match="url"):
        play(Receiver(), lambda way, _: way.open(), port=1)
    assert play(Receiver(), lambda way, _: way.open())[0] is None


@pytest.mark.parametrize(
    ("url", "secret", "words"),
    [(None, SECRET, "no address"), ("https://a.example", "", "nothing to sign with")],
)
def test_a_transport_without_address_or_secret_is_refused(
    url: str | None, secret: str, words: str
) -> None:
    with pytest.raises(DripError, match=words):
        HttpTransport("hook", url, secret, lambda: datetime.now(UTC))
