"""From reactions to requests: the market calls the inbound server, in process, at virtual times.

Belongs here: the virtual clock, ASGI calls, signing as a provider does. Does not: who reacts how
(`market`), when to call (`drive`), what the server does with it (`inbound`).
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from starlette.types import ASGIApp, Message, Scope

from pipeline.channels.signing import sign_webhook
from pipeline.settings import DripError, Keys
from pipeline.simulation.market import Reaction

_ONE_CLICK = b"List-Unsubscribe=One-Click"
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
# So many requests share one fsync at most; more would only make the server's batches longer.
_AT_ONCE = 500
_EXPECTED = {"visit": (200, 302), "leave": (200,), "report": (202,), "leads": (202,)}


class CallFailed(DripError):
    """The inbound server did not take what the market sent."""


class VirtualClock:
    """The simulation's time: one for all, and inside a request the moment of that request."""

    def __init__(self, start: datetime) -> None:
        self.current = start
        self._of_request: ContextVar[datetime | None] = ContextVar("of_request", default=None)

    def __call__(self) -> datetime:
        """Return the present moment."""
        return self._of_request.get() or self.current

    def begin_request(self, at: datetime) -> None:
        """Let the running task live at `at`; other tasks do not notice."""
        self._of_request.set(at)


def seeded_ids(seed: int) -> Callable[[], str]:
    """Return a source of 32 hex digits that gives the same ids for the same seed."""
    count = 0

    def new_id() -> str:
        nonlocal count
        count += 1
        return hashlib.blake2s(f"{seed}:{count}".encode(), digest_size=16).hexdigest()

    return new_id


class Callers:
    """Makes the requests of reactions, many at once as a real server has them."""

    def __init__(self, app: ASGIApp, clock: VirtualClock, keys: Keys) -> None:
        self._app, self._clock, self._keys = app, clock, keys
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._runner.close()

    def call(self, reactions: Sequence[Reaction]) -> None:
        """Make all the requests, each at its own moment, and wait for the answers.

        Raises:
            CallFailed: an answer is not the one that this request deserves.
        """
        for first in range(0, len(reactions), _AT_ONCE):
            self._runner.run(self._call_all(reactions[first : first + _AT_ONCE]))

    async def _call_all(self, reactions: Iterable[Reaction]) -> None:
        async with asyncio.TaskGroup() as group:
            # Tasks begin in this order, so the landing lines have it too.
            for reaction in reactions:
                group.create_task(self._call(reaction))

    async def _call(self, reaction: Reaction) -> None:
        self._clock.begin_request(reaction.at)
        scope, body = self._request(reaction)
        status = await answer_of(self._app, scope, body)
        if status not in _EXPECTED[reaction.what]:
            raise CallFailed(
                f"The server answered {status} to a {reaction.what} ({reaction.kind}) at "
                f"{scope['path'][:40]}. Look at its log."
            )

    def _request(self, reaction: Reaction) -> tuple[Scope, bytes]:
        if reaction.what == "visit":
            return _scope("GET", reaction), b""
        if reaction.what == "leave":
            return _scope("POST", reaction, {"content-type": _FORM}), _ONE_CLICK
        if reaction.what == "report":
            return self._report(reaction)
        body = json.dumps(reaction.leads).encode()
        headers = {"content-type": _JSON, "authorization": f"Bearer {self._keys.api_key}"}
        return _scope("POST", reaction, headers, path="/api/leads"), body

    def _report(self, reaction: Reaction) -> tuple[Scope, bytes]:
        body = json.dumps(reaction.report).encode()
        secret = self._keys.webhook_secret
        signed = sign_webhook(secret, reaction.report_id, reaction.at, body)
        headers = {"content-type": _JSON, **signed}
        return _scope("POST", reaction, headers, path="/webhooks/webhook"), body


def _scope(
    method: str, reaction: Reaction, headers: dict[str, str] | None = None, path: str | None = None
) -> Scope:
    path = path or reaction.path
    given = {"host": "lessons.example", **(headers or {})}
    if reaction.agent:
        given["user-agent"] = reaction.agent
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        "client": (reaction.client or "192.0.2.1", 49152),
        "server": ("127.0.0.1", 8800),
        "state": {},
    }


async def answer_of(app: ASGIApp, scope: Scope, body: bytes) -> int:
    """Call an ASGI app with one request and return the status of its answer."""
    sent: dict[str, Any] = {}

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent["status"] = message["status"]

    await app(scope, receive, send)
    return int(sent["status"])
