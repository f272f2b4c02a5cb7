"""A mail server for the market: takes mail over real SMTP on loopback and keeps its bytes.

Belongs here: enough of RFC 5321 for one sender on this machine, refusals by the market's word.
Does not: reading mails (`inbox`), reacting to them (`market`).
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from pipeline.settings import DripError

# What the server answers to a recipient; None = welcome.
Answer = Callable[[str], str | None]

_START_SECONDS = 10.0
_LONGEST_LINE = 1000
# A connection is accepted, made and lost in three turns of the loop.
_FAREWELL_ROUNDS = 5
_END_OF_DATA = b"\r\n.\r\n"


class SinkFailed(DripError):
    """The market's mail server could not start."""


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it arrived."""

    to: str
    data: bytes
    received_at: datetime


class Sink:
    """The server, in a thread of its own from `with` until its end.

    What is taken is kept before the sender hears of it, so after a hand-over it can be fetched.
    """

    def __init__(self, clock: Callable[[], datetime], answer: Answer | None = None) -> None:
        self._clock = clock
        self._answer = answer or _welcome
        self._received: list[Received] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="sink", daemon=True)
        self._is_ready = threading.Event()
        self._connections: set[asyncio.Transport] = set()
        self._error: OSError | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._is_ready.wait(_START_SECONDS) or self._error:
            raise SinkFailed(f"No mail server can be started on 127.0.0.1: {self._error}.")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_START_SECONDS)

    def take(self) -> list[Received]:
        """Return what arrived since the last time, by recipient."""
        with self._lock:
            received, self._received = self._received, []
        # Twenty connections deliver in no order of their own; the market wants the same each time.
        return sorted(received, key=lambda message: (message.received_at, message.to))

    def keep(self, to: str, data: bytes) -> None:
        """Keep one message."""
        message = Received(to, data, self._clock())
        with self._lock:
            self._received.append(message)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            server = self._loop.run_until_complete(
                self._loop.create_server(self._conversation, "127.0.0.1", 0)
            )
        except OSError as error:
            self._error = error
            self._is_ready.set()
            self._loop.close()
            return
        self.port = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._hang_up(server))
        self._loop.close()

    async def _hang_up(self, server: asyncio.Server) -> None:
        """End the conversations. One that only begins must be made first: closing drops it open."""
        for _ in range(_FAREWELL_ROUNDS):
            await asyncio.sleep(0)
        server.close()
        for transport in list(self._connections):
            transport.abort()
        for _ in range(_FAREWELL_ROUNDS):
            await asyncio.sleep(0)
        await server.wait_closed()

    def _conversation(self) -> "_Conversation":
        return _Conversation(self.keep, self._answer, self._connections)


def _welcome(_recipient: str) -> str | None:
    return None


class _Conversation(asyncio.Protocol):
    """One connection: commands line by line, then a body, and again."""

    def __init__(
        self,
        keep: Callable[[str, bytes], None],
        answer: Answer,
        connections: set[asyncio.Transport],
    ) -> None:
        self._keep, self._answer, self._connections = keep, answer, connections
        self._buffer = bytearray()
        self._recipients: list[str] = []
        self._has_sender = False
        self._is_body = False
        self._searched = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._connections.add(transport)
        self._reply("220 market.example ESMTP")

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._take_body() if self._is_body else self._take_line():
            pass

    def _reply(self, line: str) -> None:
        self._transport.write(line.encode("ascii", "replace") + b"\r\n")

    def _take_line(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _LONGEST_LINE:
                self._reply("500 line too long")
                self._transport.close()
            return False
        line = bytes(self._buffer[:end]).decode("utf-8", "replace")
        del self._buffer[: end + 2]
        self._obey(line)
        return not self._transport.is_closing()

    def _obey(self, line: str) -> None:
        verb = line[:4].upper()
        if verb == "EHLO":
            self._transport.write(b"250-market.example\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
        elif verb == "MAIL":
            self._begin()
            self._has_sender = True
            self._reply("250 ok")
        elif verb == "RCPT":
            self._add_recipient(_address(line))
        elif verb == "DATA":
            self._is_body = bool(self._recipients)
            self._reply("354 go on" if self._is_body else "503 no recipient")
        elif verb in ("RSET", "NOOP"):
            self._begin()
            self._reply("250 ok")
        elif verb == "QUIT":
            self._reply("221 bye")
            self._transport.close()
        else:
            self._reply("502 not known here")

    def _begin(self) -> None:
        self._recipients, self._has_sender = [], False

    def _add_recipient(self, address: str) -> None:
        refusal = self._answer(address) if self._has_sender else "503 no sender"
        if refusal is None:
            self._recipients.append(address)
        self._reply(refusal or "250 ok")

    def _take_body(self) -> bool:
        is_empty = self._buffer.startswith(b".\r\n")
        end = 0 if is_empty else self._buffer.find(_END_OF_DATA, self._searched)
        if end < 0:
            self._searched = max(0, len(self._buffer) - len(_END_OF_DATA))
            return False
        body = b"" if is_empty else bytes(self._buffer[: end + 2])
        del self._buffer[: 3 if is_empty else end + len(_END_OF_DATA)]
        self._searched, self._is_body = 0, False
        for recipient in self._recipients:
            self._keep(recipient, _unstuffed(body))
        self._begin()
        self._reply("250 ok")
        return True


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]


def _unstuffed(body: bytes) -> bytes:
    """Take away the dot that a sender puts before a line's own (RFC 5321, 4.5.2)."""
    if body.startswith(b"."):
        body = body[1:]
    return body.replace(b"\r\n.", b"\r\n") if b"\r\n." in body else body
