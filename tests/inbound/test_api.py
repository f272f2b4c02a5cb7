import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.inbound.api import MOST_LEADS, create_api
from pipeline.inbound.landing import Landing
from pipeline.inbound.server import InboundApp, create_app
from pipeline.settings import Keys, Settings

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
KEY = {"authorization": "Bearer key-of-the-tests"}


@pytest.fixture
def app(tmp_path: Path, keys: Keys) -> Iterator[InboundApp]:
    home = tmp_path / "home"
    app = create_app(home, Settings(home=home, sequences=tmp_path), now=lambda: NOW)
    yield app
    app.close()


def post(app: Any, path: str = "/api/leads", **kwargs: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://drip") as client:
            return await client.post(path, **{"headers": KEY, **kwargs})

    return asyncio.run(run())


def landed(tmp_path: Path) -> list[dict[str, Any]]:
    folder = tmp_path / "home" / "landing"
    return [
        json.loads(text)
        for path in folder.glob("*.jsonl")
        for text in path.read_text(encoding="utf-8").splitlines()
    ]


def test_one_lead_lands_and_the_answer_names_its_line(app: InboundApp, tmp_path: Path) -> None:
    response = post(app, json={"email": "Ann@Example.com", "attributes": {"plan": "pro"}})
    (line,) = landed(tmp_path)
    assert response.status_code == 202
    assert response.json() == {"count_leads": 1, "ids": [line["id"]]}
    assert line["source"] == "api"
    assert line["received_at"] == "2026-11-02T09:30:00.000000Z"
    assert line["leads"] == [{"email": "ann@example.com", "attributes": {"plan": "pro"}}]
    assert line["raw"] is line["error"] is None


def test_a_list_of_leads_is_one_line(app: InboundApp, tmp_path: Path) -> None:
    leads = [{"external_id": str(n)} for n in range(MOST_LEADS)]
    response = post(app, json=leads)
    assert response.json()["count_leads"] == MOST_LEADS
    (line,) = landed(tmp_path)
    assert line["leads"] == leads


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "key-of-the-tests"},
        {"authorization": "Basic key-of-the-tests"},
        {"authorization": "Bearer "},
    ],
)
def test_without_the_key_not_even_the_body_is_looked_at(
    app: InboundApp, tmp_path: Path, headers: dict[str, str]
) -> None:
    for path in ("/api/leads", "/api/openapi.json", "/api/other"):
        response = post(app, path, headers=headers, content=b"{not json")
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert "Authorization: Bearer" in response.json()["error"]
    assert landed(tmp_path) == []


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        (
            [{"email": "a@b.co"}, {"email": "nobody"}, {"phone": "1"}],
            [
                {
                    "lead": 2,
                    "field": "email",
                    "message": "should be one address such as ann@example.com",
                },
                {
                    "lead": 3,
                    "field": "phone",
                    "message": "should begin with + and the country code, such as +15551234567",
                },
            ],
        ),
        ({}, [{"lead": 1, "message": "a lead needs an email, a phone or an external_id"}]),
        ([], [{"message": "List should have at least 1 item after validation, not 0"}]),
        (
            [{"email": "a@b.co"}] * (MOST_LEADS + 1),
            [{"message": "List should have at most 1000 items after validation, not 1001"}],
        ),
        ("ann", [{"message": "Input should be a valid list"}]),
        (
            {"email": "a@b.co", "plan": "pro"},
            [{"lead": 1, "field": "plan", "message": "Extra inputs are not permitted"}],
        ),
    ],
)
def test_a_body_that_is_not_right_lands_nothing_and_says_which_lead_and_field(
    app: InboundApp, tmp_path: Path, body: Any, problems: list[dict[str, Any]]
) -> None:
    response = post(app, json=body)
    assert response.status_code == 422
    assert response.json() == {
        "error": "Nothing was taken in: the body is not right.",
        "problems": problems,
    }
    assert landed(tmp_path) == []


def test_a_body_that_is_no_json_is_told_where_it_breaks(app: InboundApp) -> None:
    response = post(app, content=b'{"email": }', headers=KEY | {"content-type": "application/json"})
    assert response.status_code == 422
    assert response.json()["problems"] == [{"message": "not JSON: Expecting value at character 10"}]


@pytest.mark.parametrize("number", ["NaN", "1e999", "-Infinity"])
def test_numbers_that_json_does_not_know_are_refused(app: InboundApp, number: str) -> None:
    body = f'{{"email": "a@b.co", "attributes": {{"score": {number}}}}}'
    response = post(app, content=body, headers=KEY | {"content-type": "application/json"})
    assert response.status_code == 422


def test_a_body_nested_without_end_is_refused(app: InboundApp) -> None:
    content = b"[" * 200_000
    response = post(app, content=content, headers=KEY | {"content-type": "application/json"})
    assert response.status_code in (400, 422)
    assert "error" in response.json()


def test_a_disk_that_cannot_be_written_is_a_503_to_try_again(tmp_path: Path) -> None:
    (tmp_path / "landing").write_text("a file where the folder should be")
    landing = Landing(tmp_path, "inbound", lambda: NOW)
    api = create_api(landing, "key-of-the-tests", lambda: NOW, lambda: "0" * 32)
    response = post(api, "/leads", json={"email": "a@b.co"})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "30"
    assert "Nothing was taken in" in response.json()["error"]


def test_the_interface_describes_itself(app: InboundApp) -> None:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://drip") as client:
            return await client.get("/api/openapi.json", headers=KEY)

    lead = asyncio.run(run()).json()["components"]["schemas"]["Lead"]
    assert "timezone" in lead["properties"]


def test_requests_to_enroll_and_to_block_land_as_commands(app: InboundApp, tmp_path: Path) -> None:
    asked = {"sequence": "one", "lead": {"email": "a@example.com"}, "context": {"offer": "A"}}
    response = post(app, "/api/enrollments", json=[asked, asked])
    assert (response.status_code, response.json()["count_requests"]) == (202, 2)
    response = post(app, "/api/do-not-contact", json={"lead": {"phone": "+15550100200"}})
    assert response.status_code == 202
    enroll, block = landed(tmp_path)
    assert enroll["commands"] == [{"kind": "enroll", "enrolled_by": "api"} | asked] * 2
    assert block["commands"] == [{"kind": "do_not_contact", "lead": {"phone": "+15550100200"}}]
    assert post(app, "/api/enrollments", json={"sequence": "one", "lead": {}}).status_code == 422
