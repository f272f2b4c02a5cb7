"""The inbound server: a request is answered when its landing line is on the disk, never before.

Belongs here: routes, who a request comes from, limits, uvicorn. Does not: the ledger (never opened
here), leads through the API (api), provider mapping (mapping), words of pages (pages).
"""

import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.inbound.api import answer_http_error, answer_landing_failed, create_api
from pipeline.inbound.landing import Landing, LandingFailed, landing_line, random_id
from pipeline.inbound.mapping import Provider, load_providers, map_body
from pipeline.inbound.pages import (
    PAGE_HEADERS,
    try_again_page,
    unknown_link_page,
    unsubscribe_page,
    unsubscribed_page,
)
from pipeline.inbound.records import AGENT_LENGTH, network_hasher
from pipeline.inbound.signatures import SCHEMES, InvalidSignature
from pipeline.messages.links import InvalidToken, read_click, read_open, read_unsubscribe
from pipeline.settings import DripError, Keys, Settings, load_keys, utc_now

BODY_LIMIT = 1 << 20
RETRY_SECONDS = "30"
GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
_FRESH = [
    (b"cache-control", b"no-store, no-cache, must-revalidate, private, max-age=0"),
    (b"pragma", b"no-cache"),
    (b"expires", b"0"),
]
_GIF_HEADERS = [
    (b"content-type", b"image/gif"),
    (b"content-length", str(len(GIF)).encode()),
    *_FRESH,
]
_PAGE_HEADERS = [(name.encode(), value.encode()) for name, value in PAGE_HEADERS.items()]
_URL_SAFE = "%/:?#[]@!$&'()*+,;=~-._"


class InboundApp:
    """The whole server as one ASGI app. Pixel and click are answered ahead of the framework."""

    def __init__(
        self,
        keys: Keys,
        landing: Landing,
        app: ASGIApp,
        visits: "Visits",
        counts: Counter[str],
    ) -> None:
        self._keys = keys
        self._landing = landing
        self._app = app
        self._visits = visits
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            kind, token = scope["path"][:3], scope["path"][3:]
            if kind == "/o/":
                await self._pixel(scope, send, token.removesuffix(".gif"))
                return
            if kind == "/c/":
                await self._click(scope, send, token)
                return
        await self._app(scope, receive, send)

    def close(self) -> None:
        """Close the open landing segment; a later request would open another."""
        self._landing.close()

    async def _pixel(self, scope: Scope, send: Send, token: str) -> None:
        if not _is_method_known(scope):
            await _answer_wrong_method(send)
            return
        try:
            send_id = read_open(self._keys.token_key, token)
            if scope["method"] == "GET":
                await self._visits.land(scope, {"kind": "opened", "send_id": send_id})
        except InvalidToken:
            self._counts["invalid_token"] += 1  # the mail still looks whole; nothing is counted
        except LandingFailed:
            await _answer(send, 503, [(b"retry-after", RETRY_SECONDS.encode()), *_FRESH], b"")
            return
        await _answer(send, 200, _GIF_HEADERS, GIF if scope["method"] == "GET" else b"")

    async def _click(self, scope: Scope, send: Send, token: str) -> None:
        if not _is_method_known(scope):
            await _answer_wrong_method(send)
            return
        try:
            click = read_click(self._keys.token_key, token)
        except InvalidToken:
            self._counts["invalid_token"] += 1
            await _answer(send, 404, _PAGE_HEADERS, unknown_link_page())
            return
        try:
            if scope["method"] == "GET":
                event = {"kind": "clicked", "send_id": click.send_id, "url": click.url}
                await self._visits.land(scope, event)
        except LandingFailed:
            headers = [(b"retry-after", RETRY_SECONDS.encode()), *_PAGE_HEADERS]
            await _answer(send, 503, headers, try_again_page(click.url))
            return
        location = quote(click.url, safe=_URL_SAFE).encode()
        headers = [(b"location", location), (b"content-length", b"0"), *_FRESH]
        await _answer(send, 302, headers, b"")


class Visits:
    """Lands what a person's mail program or browser did, with its agent and coarse network."""

    def __init__(
        self, landing: Landing, salt: str, now: Callable[[], datetime], new_id: Callable[[], str]
    ) -> None:
        self._landing = landing
        self._hash_network = network_hasher(salt)
        self._now = now
        self._new_id = new_id

    async def land(self, scope: Scope, event: dict[str, Any]) -> None:
        """Land one event of this request."""
        line_id = self._new_id()
        headers = dict(scope["headers"])
        agent = headers.get(b"user-agent", b"").decode("latin-1")[:AGENT_LENGTH]
        event = {"key": f"{line_id}:0", **event}
        if agent:
            event["agent"] = agent
        network = self._hash_network(client_address(scope.get("client"), headers))
        if network:
            event["network"] = network
        await self._landing.append(
            landing_line(line_id=line_id, received_at=self._now(), source="tracker", events=[event])
        )


def client_address(client: tuple[str, int] | None, headers: dict[bytes, bytes]) -> str | None:
    """Return who is asking: the peer, or what a proxy on this machine says of it.

    Only the last entry of X-Forwarded-For is the proxy's own word; all before it came with the
    request and may be made up.
    """
    peer = client[0] if client else None
    forwarded = headers.get(b"x-forwarded-for")
    if forwarded is None or not _is_loopback(peer):
        return peer
    last = forwarded.decode("latin-1").rpartition(",")[2].strip()
    if last.startswith("["):
        return last[1:].partition("]")[0]
    return last.partition(":")[0] if last.count(":") == 1 else last


class Routes:
    """Answers everything but pixel, click and API: webhooks, unsubscribing, health."""

    def __init__(  # noqa: PLR0913 - everything that an answer depends on, handed in
        self,
        *,
        keys: Keys,
        landing: Landing,
        visits: Visits,
        providers: dict[str, Provider],
        workspace_name: str,
        counts: Counter[str],
        now: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._keys = keys
        self._landing = landing
        self._visits = visits
        self._providers = providers
        self._workspace_name = workspace_name
        self._counts = counts
        self._now = now
        self._new_id = new_id
        self._hash_network = network_hasher(keys.salt)

    async def webhook(self, request: Request) -> Response:
        """Take in a signed webhook; what cannot be mapped lands all the same."""
        provider = self._providers.get(request.path_params["provider"])
        if provider is None:
            known = ", ".join(sorted(self._providers))
            raise HTTPException(404, f"There is no such provider. Known are: {known}.")
        body, headers, now = await request.body(), dict(request.headers), self._now()
        secret = getattr(self._keys, provider.secret_name)
        try:
            SCHEMES[provider.signature](secret, headers, body, now)
        except InvalidSignature as error:
            self._counts["invalid_signature"] += 1
            raise HTTPException(401, f"The signature is not valid. {error}") from None
        lines, errors = self._webhook_lines(provider, headers, body, now)
        await self._landing.append(*lines)
        answer: dict[str, Any] = {"ids": [line["id"] for line in lines]}
        if errors:
            self._counts["unmapped"] += len(errors)
            answer["errors"] = errors
        return JSONResponse(answer, 202)

    def _webhook_lines(
        self, provider: Provider, headers: dict[str, str], body: bytes, now: datetime
    ) -> tuple[list[dict[str, Any]], list[str]]:
        raw = body.decode("utf-8", "replace")
        mapped = map_body(provider, headers, raw, self._hash_network)
        kept = {name: headers[name] for name in provider.headers if name in headers}

        def line(**content: Any) -> dict[str, Any]:
            return landing_line(
                line_id=self._new_id(),
                received_at=now,
                source=f"webhook:{provider.name}",
                headers=kept,
                **content,
            )

        # What cannot be mapped gets a line of its own: it takes nothing good along to `rejected`.
        lines = [line(raw=text, error=reason) for reason, text in mapped.errors]
        if mapped.leads or mapped.events or not lines:
            lines.insert(0, line(leads=mapped.leads, events=mapped.events, raw=raw))
        return lines, [reason for reason, _ in mapped.errors]

    async def unsubscribe(self, request: Request) -> Response:
        """Show the page on GET, which changes nothing; act on POST, whoever it comes from."""
        try:
            send_id = read_unsubscribe(self._keys.token_key, request.path_params["token"])
        except InvalidToken:
            self._counts["invalid_token"] += 1
            return Response(unknown_link_page(), 404, PAGE_HEADERS)
        if request.method != "POST":
            return Response(unsubscribe_page(self._workspace_name), 200, PAGE_HEADERS)
        try:
            await self._visits.land(request.scope, {"kind": "unsubscribed", "send_id": send_id})
        except LandingFailed:
            headers = {**PAGE_HEADERS, "retry-after": RETRY_SECONDS}
            return Response(try_again_page(), 503, headers)
        if b"List-Unsubscribe=One-Click" in await request.body():
            return Response("Unsubscribed.\n", 200, media_type="text/plain")
        return Response(unsubscribed_page(self._workspace_name), 200, PAGE_HEADERS)

    async def health(self, _request: Request) -> Response:
        """Say whether landing works, and what was refused since this process began."""
        return JSONResponse(
            {
                "status": "degraded" if self._landing.is_failing else "ok",
                "landing": {
                    "count_lines": self._landing.count_lines,
                    "count_failures": self._landing.count_failures,
                },
                "refused": {
                    name: self._counts[name]
                    for name in ("invalid_signature", "invalid_token", "too_large", "unmapped")
                },
            },
            headers={"cache-control": "no-store"},
        )


class BodyLimit:
    """Reads a body of at most 1 MiB and hands it on; anything larger is refused unread."""

    def __init__(self, app: ASGIApp, counts: Counter[str]) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        try:
            body = await _read_body(scope, receive)
        except _TooLarge:
            self._counts["too_large"] += 1
            response = JSONResponse(
                {"error": f"The body is larger than {BODY_LIMIT:,} bytes. Send it in parts."},
                413,
                {"connection": "close"},
            )
            await response(scope, receive, send)
            return
        except _Gone:
            return
        await self._app(scope, _replay(body, receive), send)


class _TooLarge(Exception):
    pass


class _Gone(Exception):
    pass


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    declared = dict(scope["headers"]).get(b"content-length", b"")
    if declared.isdigit() and int(declared) > BODY_LIMIT:
        raise _TooLarge
    body, is_open = bytearray(), True
    while is_open:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body += message.get("body", b"")
        is_open = message.get("more_body", False)
        if len(body) > BODY_LIMIT:
            raise _TooLarge
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def create_app(
    home: Path,
    settings: Settings,
    *,
    workspace_name: str = "",
    keys: Keys | None = None,
    now: Callable[[], datetime] = utc_now,
    new_id: Callable[[], str] = random_id,
) -> InboundApp:
    """Return the server as an ASGI app, also to be called in process with another clock.

    Raises:
        DripError: the keys are missing or a provider file is not right.
    """
    keys = keys or load_keys(home)
    landing = Landing(home, "inbound", now, new_id)
    counts: Counter[str] = Counter()
    visits = Visits(landing, keys.salt, now, new_id)
    routes = Routes(
        keys=keys,
        landing=landing,
        visits=visits,
        providers=load_providers(settings.sequences),
        workspace_name=workspace_name,
        counts=counts,
        now=now,
        new_id=new_id,
    )
    app = Starlette(
        routes=[
            Route("/webhooks/{provider}", routes.webhook, methods=["POST"]),
            Route("/u/{token}", routes.unsubscribe, methods=["GET", "POST"]),
            Route("/health", routes.health),
            Mount("/api", create_api(landing, keys.api_key, now, new_id)),
        ],
        exception_handlers={
            HTTPException: answer_http_error,
            LandingFailed: answer_landing_failed,
        },
        lifespan=_closing(landing),
    )
    return InboundApp(keys, landing, BodyLimit(app, counts), visits, counts)


def serve(settings: Settings, *, workspace_name: str = "") -> None:
    """Run the server until it is told to stop.

    Raises:
        DripError: the workspace is not set up, or the port is taken.
    """
    app = create_app(settings.home, settings, workspace_name=workspace_name)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # client_address decides whom to believe
        timeout_graceful_shutdown=10,
    )
    with _listen(settings.host, settings.port) as listening, suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise DripError(
            f"Cannot listen on {host}:{port} ({error.strerror}). "
            "Stop what uses the port, or set DRIP_PORT to another."
        ) from None
    return listening


def _closing(landing: Landing) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        landing.close()

    return lifespan


def _is_loopback(peer: str | None) -> bool:
    if peer is None:  # a Unix socket: this machine
        return True
    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return False


def _is_method_known(scope: Scope) -> bool:
    return scope["method"] in ("GET", "HEAD")


def _answer_wrong_method(send: Send) -> Awaitable[None]:
    return _answer(send, 405, [(b"allow", b"GET, HEAD"), (b"content-length", b"0")], b"")


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
