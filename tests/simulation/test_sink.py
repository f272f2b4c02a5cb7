import asyncio
import smtplib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from aiosmtplib import SMTP
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.simulation.sink import Sink

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def answer(recipient: str) -> str | None:
    return "550 5.1.1 no such user" if recipient.startswith("nobody") else None


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink(lambda: NOW, answer) as running:
        yield running


def test_what_is_sent_is_kept_with_its_moment(sink: Sink) -> None:
    with smtplib.SMTP("127.0.0.1", sink.port) as client:
        client.sendmail("a@x.example", ["b@x.example"], b"Subject: hi\r\n\r\n.dot\r\n..dots\r\n")
    (received,) = sink.take()
    assert received.to == "b@x.example"
    assert received.data == b"Subject: hi\r\n\r\n.dot\r\n..dots\r\n"
    assert received.received_at == NOW
    assert sink.take() == []


def test_a_refused_recipient_hears_why_and_nothing_is_kept(sink: Sink) -> None:
    with (
        smtplib.SMTP("127.0.0.1", sink.port) as client,
        pytest.raises(smtplib.SMTPRecipientsRefused, match=r"5\.1\.1 no such user"),
    ):
        client.sendmail("a@x.example", ["nobody@x.example"], b"Subject: hi\r\n\r\n")
    assert sink.take() == []


def test_commands_out_of_order_are_refused(sink: Sink) -> None:
    with smtplib.SMTP("127.0.0.1", sink.port) as client:
        assert client.docmd("RCPT TO:<b@x.example>")[0] == 503
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("TURN")[0] == 502
        assert client.docmd("NOOP")[0] == 250


def test_an_endless_line_ends_the_conversation(sink: Sink) -> None:
    with socket.create_connection(("127.0.0.1", sink.port), timeout=5) as plain:
        assert plain.recv(100).startswith(b"220")
        plain.sendall(b"x" * 2000)
        assert plain.recv(100).startswith(b"500")
        assert plain.recv(100) == b""


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.lists(st.text(alphabet="a.\t ", max_size=9), max_size=6), cut=st.integers(1, 40))
def test_any_body_arrives_as_it_was_sent_however_it_is_cut(
    sink: Sink, body: list[str], cut: int
) -> None:
    data = "".join(f"{line}\r\n" for line in body).encode()
    stuffed = "".join(f".{ln}\r\n" if ln.startswith(".") else f"{ln}\r\n" for ln in body).encode()
    talk = b"EHLO me\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"
    talk += stuffed + b".\r\nQUIT\r\n"
    with socket.create_connection(("127.0.0.1", sink.port), timeout=5) as plain:
        for first in range(0, len(talk), cut):
            plain.sendall(talk[first : first + cut])
        answers = b""
        while more := plain.recv(1000):
            answers += more
    assert b"354" in answers
    assert [received.data for received in sink.take()] == [data]


def test_many_connections_at_once_lose_nothing_and_come_sorted(sink: Sink) -> None:
    async def deliver(first: int) -> None:
        async with SMTP(hostname="127.0.0.1", port=sink.port, start_tls=False) as client:
            for number in range(first, first + 20):
                await client.sendmail(
                    "a@x.example", [f"{number:03d}@x.example"], b"Subject: hi\r\n\r\nbody\r\n"
                )

    async def deliver_all() -> None:
        await asyncio.gather(*(deliver(first) for first in range(0, 200, 20)))

    asyncio.run(deliver_all())
    assert [received.to for received in sink.take()] == [f"{n:03d}@x.example" for n in range(200)]


def test_the_thread_ends_with_the_server() -> None:
    with Sink(lambda: NOW) as sink:
        lingering = socket.create_connection(("127.0.0.1", sink.port), timeout=5)
        assert any(thread.name == "sink" for thread in threading.enumerate())
    assert not any(thread.name == "sink" for thread in threading.enumerate())
    lingering.close()
