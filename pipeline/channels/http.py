"""HTTP: one request per message, never a redirect, and a clear answer to "was it taken?".

Belongs here: the request, its headers, and what each answer means. Does not: what the request
says (`messages.requests`), what a transport promises (`transport`), trying again (`engine`).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from ssl import SSLContext, create_default_context
from typing import Any

import httpx

from pipeline.channels.signing import read_secret, sign_webhook
from pipeline.channels.transport import (
    BeforeBody,
    Outcome,
    TransportUnavailable,
    UnknownOutcome,
    scrub_reason,
)
from pipeline.messages.compose import Message
from pipeline.messages.requests import FORM_TYPE
from pipeline.settings import DripError

_CONNECT_SECONDS = 10.0
# The Standard Webhooks ask receivers for an answer within 15 to 30 seconds.
_ANSWER_SECONDS = 30.0
# A connection that is about to be closed by the other side makes unknowns: it is not kept long.
_IDLE_SECONDS = 2.0
# An answer's words mean nothing to us; short ones are read so that the connection can be kept.
_LONGEST_ANSWER = 65_536
_WORDS_SECONDS = 1.0
_TAKEN, _REDIRECT, _REFUSED, _BROKEN = 200, 300, 400, 500
_TRY_AGAIN = {408, 425, 429}
# What a form says when it took something: look elsewhere, for a page of thanks.
_LOOK_ELSEWHERE = {302, 303}
_REQUEST_BEGINS = "http11.send_request_headers.started"
_FAILURES = (httpx.HTTPError, OSError, TimeoutError)


class HttpTransport:
    """Posts messages to one address over one connection, which is made anew when it went stale."""

    def __init__(
        self,
        name: str,
        url: str | None,
        secret: str | None,
        clock: Callable[[], datetime],
        *,
        connect_seconds: float = _CONNECT_SECONDS,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        """Prepare without connecting; without a secret where nothing but forms is to be posted.

        Raises:
            DripError: there is no address, or nothing to sign with.
        """
        if not url:
            raise DripError(
                f"The http transport {name} has no address. Add `url: https://hooks.example.com/in`"
                " to it in workspace.yml."
            )
        try:
            if secret is not None:
                read_secret(secret)
        except ValueError:
            raise DripError(
                f"The http transport {name} has nothing to sign with. Set DRIP_HTTP_SECRET to "
                "`whsec_` and base64 of 24 to 64 random bytes, and give it to the receiver."
            ) from None
        self._url, self._secret, self._clock = httpx.URL(url), secret, clock
        self._connect_seconds, self._answer_seconds = connect_seconds, answer_seconds
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Connect once and let go, unless a client is there: a request is what HTTP begins with."""
        if self._client is not None:
            return
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, writer = await asyncio.open_connection(self._url.host, port)
        except (OSError, TimeoutError) as error:
            raise TransportUnavailable(
                f"{self._url.host}:{port} does not let us in ({_describe(error)}). "
                "Check `url:` in workspace.yml."
            ) from error
        writer.close()

    async def deliver(self, message: Message, before_body: BeforeBody) -> Outcome:
        """Post one message; `before_body` is awaited once a connection is there."""
        moment = _Moment(before_body)
        try:
            async with asyncio.timeout(self._connect_seconds + self._answer_seconds):
                response = await self._post(message, moment)
        except _FAILURES as error:
            await self.close()
            reason = scrub_reason(_describe(error), message)
            if moment.is_begun:
                raise UnknownOutcome(reason) from error
            return Outcome("retry", reason)
        except BaseException:
            # Cancelled, or not journaled: the connection may be in the middle of anything.
            await self.close()
            raise
        await _let_go(response)
        words = f"{response.status_code} {response.reason_phrase}"
        return _classify(response.status_code, scrub_reason(words, message), message)

    async def close(self) -> None:
        """Let go of the connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _post(self, message: Message, moment: "_Moment") -> httpx.Response:
        client = self._client = self._client or self._create_client()
        request = client.build_request(
            "POST",
            self._url,
            content=message.data,
            headers={"user-agent": "Driplab", **self._headers(message)},
            extensions={"trace": moment.trace},
        )
        return await client.send(request, stream=True)

    def _headers(self, message: Message) -> dict[str, str]:
        if message.channel == "form":
            # Whoever owns a form has no secret of ours to look at a signature with.
            return {"content-type": FORM_TYPE}
        signed = sign_webhook(self._secret or "", message.message_id, self._clock(), message.data)
        return {"content-type": "application/json", **signed}

    def _create_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=_certificates() if self._url.scheme == "https" else False,
            # What an environment says of proxies is none of a message's business.
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(self._answer_seconds, connect=self._connect_seconds),
            limits=httpx.Limits(max_connections=1, keepalive_expiry=_IDLE_SECONDS),
        )


class _Moment:
    """The moment at which a request's first byte is about to leave: then the journal says so."""

    def __init__(self, before_body: BeforeBody) -> None:
        self._before_body = before_body
        self.is_begun = False

    async def trace(self, event: str, _info: dict[str, Any]) -> None:
        if event == _REQUEST_BEGINS and not self.is_begun:
            await self._before_body()
            self.is_begun = True


async def _let_go(response: httpx.Response) -> None:
    """Read an answer's words as far as they are few and quick; the status has said everything."""
    length = 0
    with suppress(*_FAILURES):
        async with asyncio.timeout(_WORDS_SECONDS):
            async for part in response.aiter_raw():
                length += len(part)
                if length > _LONGEST_ANSWER:
                    break
    with suppress(*_FAILURES):
        await response.aclose()


def _classify(status: int, reason: str, message: Message) -> Outcome:
    """Return what an answer means: R7, and a redirect is an address that nobody wrote down."""
    is_elsewhere = message.channel == "form" and status in _LOOK_ELSEWHERE
    if _TAKEN <= status < _REDIRECT or is_elsewhere:
        return Outcome("handed_over", None, message.message_id or None)
    if _REDIRECT <= status < _REFUSED:
        return Outcome("refused", f"{reason}: redirects are not followed")
    if status >= _BROKEN or status in _TRY_AGAIN:
        return Outcome("retry", reason)
    return Outcome("refused", reason)


@lru_cache(maxsize=1)
def _certificates() -> SSLContext:
    # Reading the system's certificates takes tens of milliseconds, and each worker has a client.
    return create_default_context()


def _describe(error: BaseException) -> str:
    return str(error) or type(error).__name__
