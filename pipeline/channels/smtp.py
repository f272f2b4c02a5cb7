"""SMTP: one connection per worker, ready bytes, and a clear answer to "was it taken?".

Belongs here: the dialogue up to the body, the body, and what each answer means.
Does not: what a transport promises (transport), waiting and trying again (engine).
"""

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from pipeline.channels.transport import (
    BeforeBody,
    Outcome,
    TransportSpec,
    TransportUnavailable,
    UnknownOutcome,
    scrub_reason,
)
from pipeline.messages.compose import Message
from pipeline.settings import DripError

_COMMAND_SECONDS = 30.0
# Servers scan a message before they answer; whoever gives up early makes an unknown of it.
_BODY_SECONDS = 120.0
_CLOSE_SECONDS = 2.0
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_TEMPORARY, _PERMANENT, _ENDED = 400, 500, 600
_CLOSING = 421
_FAILURES = (SMTPException, OSError, TimeoutError)


class SmtpTransport:
    """Hands messages to one server over one connection, which is made anew when it went stale."""

    def __init__(
        self,
        name: str,
        spec: TransportSpec,
        password: str,
        *,
        command_seconds: float = _COMMAND_SECONDS,
        body_seconds: float = _BODY_SECONDS,
    ) -> None:
        host = spec.host
        if not host:
            raise DripError(
                f"The smtp transport {name} has no host. Add `host: mail.example.com` to it in "
                "workspace.yml."
            )
        if spec.username and spec.tls == "none" and host not in _LOOPBACK:
            raise DripError(
                f"The smtp transport {name} would send its password in the clear. Write "
                "`tls: starttls` or `tls: tls` in workspace.yml."
            )
        if spec.username and not password:
            raise DripError(
                f"The smtp transport {name} has a username and no password. Set DRIP_SMTP_PASSWORD."
            )
        self._place = f"{host}:{spec.port}"
        self._body_seconds = body_seconds
        self._client = SMTP(
            hostname=host,
            port=spec.port,
            username=spec.username or None,
            password=password if spec.username else None,
            use_tls=spec.tls == "tls",
            start_tls=spec.tls == "starttls",
            timeout=command_seconds,
            # Asking for the own name may wait for a name server; loopback has no use for it.
            local_hostname="localhost" if host in _LOOPBACK else None,
        )

    async def open(self) -> None:
        """Connect, encrypt and log in, unless connected."""
        if self._client.is_connected:
            return
        try:
            await self._client.connect()
        except _FAILURES as error:
            raise TransportUnavailable(
                f"The mail server {self._place} does not let us in ({_describe(error)}). "
                "Check host, port, tls, username and DRIP_SMTP_PASSWORD."
            ) from error

    async def deliver(self, message: Message, before_body: BeforeBody) -> Outcome:
        """Hand one message over; connects first, and once more when the connection was stale."""
        declined = await self._offer(message)
        if declined is not None:
            return declined
        try:
            await before_body()
        except BaseException:
            # Without its line in the journal no body may go out; the server drops what it has.
            self._client.close()
            raise
        if not self._client.is_connected:
            return Outcome("retry", "The server ended the connection before the body went out.")
        return await self._send_body(message)

    async def close(self) -> None:
        """Say goodbye, briefly."""
        try:
            if self._client.is_connected:
                await self._client.quit(timeout=_CLOSE_SECONDS)
        except _FAILURES:
            pass
        finally:
            self._client.close()

    async def _send_body(self, message: Message) -> Outcome:
        try:
            await self._client.data(message.data, timeout=self._body_seconds)
        except SMTPDataError as error:
            outcome = _classify(error, message)
            if outcome is None:
                self._client.close()
                raise UnknownOutcome(scrub_reason(_describe(error), message)) from error
            await self._reset(error.code)
            return outcome
        except _FAILURES as error:
            self._client.close()
            raise UnknownOutcome(scrub_reason(_describe(error), message)) from error
        except BaseException:
            # Cancelled: the journal says `begin` and nothing more, which is the truth.
            self._client.close()
            raise
        return Outcome("handed_over", None, message.message_id)

    async def _offer(self, message: Message) -> Outcome | None:
        """Name sender and recipient; return why they were declined, None when the body may go."""
        if self._client.is_connected:
            try:
                return await self._say_envelope(message)
            except _FAILURES:
                # Servers end idle connections; nothing was handed over yet, so begin anew.
                self._client.close()
        try:
            await self.open()
            return await self._say_envelope(message)
        except TransportUnavailable as error:
            return Outcome("retry", scrub_reason(_describe(error.__cause__), message))
        except _FAILURES as error:
            self._client.close()
            return Outcome("retry", scrub_reason(_describe(error), message))

    async def _say_envelope(self, message: Message) -> Outcome | None:
        try:
            await self._client.mail(message.envelope_from)
            await self._client.rcpt(message.to)
        except SMTPResponseException as error:
            outcome = _classify(error, message)
            if outcome is None or error.code == _CLOSING:
                raise
            await self._reset(error.code)
            return outcome
        return None

    async def _reset(self, code: int) -> None:
        """Make the connection ready for the next message after a refusal."""
        try:
            if code == _CLOSING:
                raise SMTPServerDisconnected("closing")
            await self._client.rset()
        except _FAILURES:
            self._client.close()


def _classify(error: SMTPResponseException, message: Message) -> Outcome | None:
    """Return what a definite refusal means; None for an answer that is none."""
    reason = scrub_reason(_describe(error), message)
    if _TEMPORARY <= error.code < _PERMANENT:
        return Outcome("retry", reason)
    if _PERMANENT <= error.code < _ENDED:
        return Outcome("refused", reason)
    return None


def _describe(error: BaseException | None) -> str:
    """Return an error's words: the server's where it gave any."""
    if isinstance(error, SMTPResponseException):
        return f"{error.code} {error.message}"
    text = str(error) if error is not None else ""
    return text or type(error).__name__
