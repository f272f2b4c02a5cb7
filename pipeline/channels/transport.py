"""What every transport promises, and the choice of one.

Belongs here: the outcomes of a hand-over, the protocol, reasons without personal data.
Does not: one way of travelling (smtp, maildir, http), the journal and the retries (engine).
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from pipeline.messages.compose import Message
from pipeline.settings import DripError, Settings, utc_now

OutcomeStatus = Literal["handed_over", "retry", "refused"]
BeforeBody = Callable[[], Awaitable[None]]

_LONGEST_REASON = 200
_SHORTEST_LOCAL = 3
_ADDRESS = re.compile(r"[^\s<>\"',;:()]+@[^\s<>\"',;:()]+")
_NUMBER = re.compile(r"\+?\d{7,}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a hand-over that has an answer.

    `retry`: definitely not taken, may be tried again. `refused`: definitely not taken, for good.
    """

    status: OutcomeStatus
    reason: str | None = None
    message_id: str | None = None


class UnknownOutcome(Exception):
    """The body went out and no answer came: it may have been taken, so it is never sent again."""


class TransportUnavailable(DripError):
    """The transport cannot be reached or does not let us in; nothing was handed over."""


class TransportSpec(Protocol):
    """What workspace.yml says about a transport."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def host(self) -> str | None: ...  # noqa: D102
    @property
    def port(self) -> int: ...  # noqa: D102
    @property
    def username(self) -> str | None: ...  # noqa: D102
    @property
    def tls(self) -> str: ...  # noqa: D102
    @property
    def url(self) -> str | None: ...  # noqa: D102


class Transport(Protocol):
    """One worker's way to hand messages over, one at a time."""

    async def open(self) -> None:
        """Connect. `deliver` does so by itself; this finds a wrong setting before the first chunk.

        Raises:
            TransportUnavailable: it cannot be reached or does not let us in.
        """

    async def deliver(self, message: Message, before_body: BeforeBody) -> Outcome:
        """Hand one message over.

        Args:
            message: The message.
            before_body: Awaited just before the body goes out, once, and not at all where the
                message is declined earlier: the moment to journal `begin`.

        Raises:
            UnknownOutcome: the body may have been taken.
        """

    async def close(self) -> None:
        """Let go of the connection; never fails."""


def create_transport(
    name: str,
    spec: TransportSpec,
    home: Path,
    settings: Settings,
    clock: Callable[[], datetime] = utc_now,
    *,
    is_signing: bool = True,
) -> Transport:
    """Create one worker's transport.

    Args:
        name: Its name in workspace.yml.
        spec: What workspace.yml says about it.
        home: The workspace's home.
        settings: For the password and the secret.
        clock: The moment that a signature names.
        is_signing: Whether anything that it posts is signed; forms are not.

    Raises:
        DripError: the settings contradict each other.
    """
    from pipeline.channels.http import HttpTransport  # noqa: PLC0415 - they import from here
    from pipeline.channels.maildir import MaildirTransport  # noqa: PLC0415
    from pipeline.channels.smtp import SmtpTransport  # noqa: PLC0415

    if spec.kind == "maildir":
        return MaildirTransport(home / "maildir" / name)
    if spec.kind == "http":
        secret = settings.http_secret if is_signing else None
        return HttpTransport(name, spec.url, secret, clock)
    if spec.kind != "smtp":
        raise DripError(
            f"The transport {name} is of the unknown kind {spec.kind}. Write maildir, smtp or http."
        )
    return SmtpTransport(name, spec, settings.smtp_password)


def scrub_reason(reason: str, message: Message) -> str:
    """Return a server's words on one line, short, and without the recipient (R22)."""
    text = " ".join(reason.split())
    local = message.to.rpartition("@")[0]
    for secret in (message.to, local):
        if len(secret) >= _SHORTEST_LOCAL:
            text = re.sub(re.escape(secret), "<recipient>", text, flags=re.IGNORECASE)
    text = _NUMBER.sub("<number>", _ADDRESS.sub("<address>", text))
    text = text.replace("<<", "<").replace(">>", ">")
    return "".join(c for c in text if c.isprintable())[:_LONGEST_REASON]
