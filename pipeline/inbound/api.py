"""The programming interface: leads and requests in, checked at the door.

Belongs here: FastAPI routes under /api, their key, their error messages. Does not: signed webhooks,
tracking (server), what a valid lead is (records), how a line reaches the disk (landing).
"""

import hmac
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.inbound.landing import Landing, LandingFailed, landing_line
from pipeline.inbound.records import BlockRequest, EnrollmentRequest, Lead, plain_message

MOST_LEADS = 1000
_RETRY_SECONDS = "30"


def _as_list(body: object) -> object:
    return [body] if isinstance(body, dict) else body


Leads = Annotated[
    Annotated[list[Lead], Field(min_length=1, max_length=MOST_LEADS)],
    BeforeValidator(_as_list),
    Body(description=f"One lead, or a list of up to {MOST_LEADS}."),
]


Enrollments = Annotated[
    Annotated[list[EnrollmentRequest], Field(min_length=1, max_length=MOST_LEADS)],
    BeforeValidator(_as_list),
    Body(description=f"One request, or a list of up to {MOST_LEADS}."),
]
Blocks = Annotated[
    Annotated[list[BlockRequest], Field(min_length=1, max_length=MOST_LEADS)],
    BeforeValidator(_as_list),
    Body(description=f"One request, or a list of up to {MOST_LEADS}."),
]


class Requested(BaseModel):
    """What was asked for. The next tick decides; `drip why LEAD` tells what became of it."""

    count_requests: int
    ids: list[str] = Field(description="Ids of the landing lines that hold them.")


class Accepted(BaseModel):
    """What was taken in."""

    count_leads: int
    ids: list[str] = Field(description="Ids of the landing lines that hold them.")


def create_api(
    landing: Landing, api_key: str, now: Callable[[], datetime], new_id: Callable[[], str]
) -> ASGIApp:
    """Return the app to be mounted at /api; every route of it needs the key."""
    # No documentation pages: they load their scripts from elsewhere. /api/openapi.json is there.
    api = FastAPI(title="Driplab", docs_url=None, redoc_url=None)
    api.add_exception_handler(RequestValidationError, _answer_invalid)
    api.add_exception_handler(HTTPException, answer_http_error)
    api.add_exception_handler(LandingFailed, answer_landing_failed)

    @api.post("/leads", status_code=HTTPStatus.ACCEPTED)
    async def add_leads(leads: Leads) -> Accepted:
        """Take in one lead or many; they are safe on disk when this answers."""
        line = landing_line(
            line_id=new_id(), received_at=now(), source="api", leads=[lead.dump() for lead in leads]
        )
        await landing.append(line)
        return Accepted(count_leads=len(leads), ids=[line["id"]])

    @api.post("/enrollments", status_code=HTTPStatus.ACCEPTED)
    async def request_enrollments(requests: Enrollments) -> Requested:
        """Ask to enroll one lead or many; the requests are safe on disk when this answers."""
        commands = [
            {"kind": "enroll", "enrolled_by": "api"} | request.dump() for request in requests
        ]
        return await ask(commands)

    @api.post("/do-not-contact", status_code=HTTPStatus.ACCEPTED)
    async def block_leads(requests: Blocks) -> Requested:
        """Ask never to contact one lead or many again; safe on disk when this answers."""
        return await ask([{"kind": "do_not_contact"} | request.dump() for request in requests])

    async def ask(commands: list[dict[str, Any]]) -> Requested:
        line = landing_line(line_id=new_id(), received_at=now(), source="api", commands=commands)
        await landing.append(line)
        return Requested(count_requests=len(commands), ids=[line["id"]])

    return _BearerKey(api, api_key)


class _BearerKey:
    """Lets a request with the key pass, and refuses any other before its body is looked at."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._expected = b"bearer " + key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, key = given.partition(b" ")
        if hmac.compare_digest(scheme.lower() + b" " + key.strip(), self._expected):
            await self._app(scope, receive, send)
            return
        response = JSONResponse(
            {"error": "The header `Authorization: Bearer <api_key of keys.json>` is needed."},
            HTTPStatus.UNAUTHORIZED,
            {"www-authenticate": "Bearer"},
        )
        await response(scope, receive, send)


def answer_landing_failed(_request: Request, error: Exception) -> JSONResponse:
    """Answer 503: nothing was taken in, try again."""
    return JSONResponse(
        {"error": "Nothing was taken in: the disk cannot be written. Please send it again later."},
        HTTPStatus.SERVICE_UNAVAILABLE,
        {"retry-after": _RETRY_SECONDS},
    )


def answer_http_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer an error of the framework in the one shape of our errors."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _answer_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    problems = [_problem(item) for item in error.errors()]
    return JSONResponse(
        {"error": "Nothing was taken in: the body is not right.", "problems": problems},
        HTTPStatus.UNPROCESSABLE_ENTITY,
    )


def _problem(item: dict[str, Any]) -> dict[str, Any]:
    # ("body", 3, "email") of a list; ("body", 17) where the JSON itself ends in character 17.
    loc = [part for part in item["loc"] if part != "body"]
    if item["type"] == "json_invalid":
        reason = item.get("ctx", {}).get("error", "")
        return {"message": f"not JSON: {reason} at character {loc[0]}"}
    problem: dict[str, Any] = {"message": plain_message(item["msg"])}
    if loc and isinstance(loc[0], int):
        problem["lead"] = loc[0] + 1
        loc = loc[1:]
    if loc:
        problem["field"] = ".".join(str(part) for part in loc)
    return problem
