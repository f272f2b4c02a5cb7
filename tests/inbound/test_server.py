import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.channels.signing import sign_webhook
from pipeline.inbound.records import network_hasher
from pipeline.inbound.server import BODY_LIMIT, GIF, InboundApp, client_address, create_app, serve
from pipeline.messages.links import click_url, open_url, unsubscribe_url
from pipeline.settings import DripError, Keys, Settings

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
BASE = "http://drip.example"
TARGET = "https://example.com/pricing?a=1&b=2#präis"


@pytest.fixture
def app(tmp_path: Path, keys: Keys) -> Iterator[InboundApp]:
    home = tmp_path / "home"
    numbers = count(1)
    app = create_app(
        home,
        Settings(home=home, sequences=tmp_path),
        workspace_name="Acme & Sons",
        now=lambda: NOW,
        new_id=lambda: f"{next(numbers):032x}",
    )
    yield app
    app.close()


def call(app: InboundApp, method: str, url: str, **kwargs: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, client=kwargs.pop("client", ("127.0.0.1", 5)))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            return await client.request(method, url, **kwargs)

    return asyncio.run(run())


def landed(home: Path) -> list[dict[str, Any]]:
    return [
        json.loads(text)
        for path in sorted((home / "landing").glob("*.jsonl"))
        for text in path.read_text(encoding="utf-8").splitlines()
    ]


def events(tmp_path: Path) -> list[dict[str, Any]]:
    return [event for line in landed(tmp_path / "home") for event in line["events"]]


# Pixel ----------------------------------------------------------------------------------------


def test_the_pixel_lands_an_open_and_is_never_cached(
    app: InboundApp, keys: Keys, tmp_path: Path
) -> None:
    response = call(
        app, "GET", open_url(BASE, keys.token_key, 7), headers={"user-agent": "Mail/" + "9" * 400}
    )
    assert response.status_code == 200
    assert response.content == GIF
    assert response.headers["content-type"] == "image/gif"
    assert "no-store" in response.headers["cache-control"]
    (line,) = landed(tmp_path / "home")
    (event,) = line["events"]
    assert line["source"] == "tracker"
    assert line["received_at"] == "2026-11-02T09:30:00.000000Z"
    assert event.pop("agent") == ("Mail/" + "9" * 400)[:300]
    assert event.pop("network") == network_hasher(keys.salt)("127.0.0.1")
    assert event == {"kind": "opened", "send_id": 7, "key": f"{line['id']}:0"}


def test_the_pixel_of_a_wrong_token_is_a_pixel_and_lands_nothing(
    app: InboundApp, keys: Keys, tmp_path: Path
) -> None:
    click = click_url(BASE, keys.token_key, 7, 1, TARGET).rsplit("/", 1)[1]
    for path in ("/o/wrong.gif", "/o/", f"/o/{click}.gif", "/o/%F0%9F%98%80.gif"):
        response = call(app, "GET", path)
        assert (response.status_code, response.content) == (200, GIF)
    assert events(tmp_path) == []
    assert call(app, "GET", "/health").json()["refused"]["invalid_token"] == 4


def test_head_requests_are_answered_and_count_for_nothing(
    app: InboundApp, keys: Keys, tmp_path: Path
) -> None:
    pixel = call(app, "HEAD", open_url(BASE, keys.token_key, 7))
    click = call(app, "HEAD", click_url(BASE, keys.token_key, 7, 1, TARGET))
    page = call(app, "HEAD", unsubscribe_url(BASE, keys.token_key, 7))
    assert (pixel.status_code, click.status_code, page.status_code) == (200, 302, 200)
    assert pixel.content == b""
    assert events(tmp_path) == []


@pytest.mark.parametrize("path", ["/o/x.gif", "/c/x", "/health", "/webhooks/webhook"])
def test_a_method_that_a_path_has_not_is_refused(app: InboundApp, path: str) -> None:
    response = call(app, "PUT", path)
    assert response.status_code == 405
    assert response.headers["allow"]


# Click ----------------------------------------------------------------------------------------


def test_a_click_lands_and_redirects_to_what_was_signed(
    app: InboundApp, keys: Keys, tmp_path: Path
) -> None:
    response = call(app, "GET", click_url(BASE, keys.token_key, 8, 2, TARGET))
    assert response.status_code == 302
    assert response.headers["location"] == "https://example.com/pricing?a=1&b=2#pr%C3%A4is"
    assert "no-store" in response.headers["cache-control"]
    (event,) = events(tmp_path)
    assert (event["kind"], event["send_id"], event["url"]) == ("clicked", 8, TARGET)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    position=st.integers(0, 500),
    letter=st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"),
)
def test_a_tampered_click_never_redirects(
    app: InboundApp, keys: Keys, tmp_path: Path, position: int, letter: str
) -> None:
    url = click_url(BASE, keys.token_key, 8, 2, TARGET)
    begin = len(BASE) + len("/c/")
    position = begin + position % (len(url) - begin)
    tampered = url[:position] + letter + url[position + 1 :]
    if tampered == url:
        return
    response = call(app, "GET", tampered)
    assert response.status_code == 404
    assert "location" not in response.headers
    assert "This link does not work" in response.text
    assert events(tmp_path) == []


@pytest.mark.parametrize(
    "path",
    ["/c/", "/c/https://evil.example", "/c/x?url=https://evil.example", "/c//evil.example"],
)
def test_an_address_in_the_request_is_never_a_target(app: InboundApp, path: str) -> None:
    response = call(app, "GET", path)
    assert response.status_code == 404
    assert "location" not in response.headers


# Who is asking --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("::1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("a socket", "203.0.113.9", "a socket"),
        (None, "203.0.113.9", "203.0.113.9"),
        (None, None, None),
    ],
)
def test_only_a_proxy_on_this_machine_is_believed(
    peer: str | None, forwarded: str | None, address: str | None
) -> None:
    headers = {b"x-forwarded-for": forwarded.encode()} if forwarded else {}
    assert client_address((peer, 1) if peer else None, headers) == address


def test_no_address_reaches_landing(app: InboundApp, keys: Keys, tmp_path: Path) -> None:
    headers = {"x-forwarded-for": "203.0.113.9"}
    call(app, "GET", open_url(BASE, keys.token_key, 7), headers=headers)
    call(app, "GET", open_url(BASE, keys.token_key, 7), client=("203.0.113.77", 9))
    call(app, "GET", open_url(BASE, keys.token_key, 7), headers={"x-forwarded-for": "junk"})
    first, second, third = events(tmp_path)
    assert first["network"] == second["network"]
    assert "network" not in third
    assert "203.0.113" not in json.dumps(landed(tmp_path / "home"))


# Unsubscribe ----------------------------------------------------------------------------------


def test_looking_at_the_unsubscribe_page_changes_nothing(
    app: InboundApp, keys: Keys, tmp_path: Path
) -> None:
    response = call(app, "GET", unsubscribe_url(BASE, keys.token_key, 9))
    assert response.status_code == 200
    assert "Acme &amp; Sons" in response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert events(tmp_path) == []


@pytest.mark.parametrize(
    "kwargs",
    [
        {"data": {"List-Unsubscribe": "One-Click"}},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
    ],
    ids=["urlencoded", "multipart"],
)
def test_a_one_click_post_acts_at_once_and_does_not_redirect(
    app: InboundApp, keys: Keys, tmp_path: Path, kwargs: dict[str, Any]
) -> None:
    response = call(app, "POST", unsubscribe_url(BASE, keys.token_key, 9), **kwargs)
    assert response.status_code == 200
    (event,) = events(tmp_path)
    assert (event["kind"], event["send_id"]) == ("unsubscribed", 9)


def test_the_pages_button_acts_and_confirms(app: InboundApp, keys: Keys, tmp_path: Path) -> None:
    url = unsubscribe_url(BASE, keys.token_key, 9)
    response = call(app, "POST", url, data={"action": "unsubscribe"})
    assert response.status_code == 200
    assert "You are unsubscribed" in response.text
    assert [event["kind"] for event in events(tmp_path)] == ["unsubscribed"]


def test_nobody_is_unsubscribed_by_a_wrong_token(
    app: InboundApp, keys: Keys, tmp_path: Path
) -> None:
    pixel = open_url(BASE, keys.token_key, 9).rsplit("/", 1)[1].removesuffix(".gif")
    for token in ("wrong", pixel):
        for method in ("GET", "POST"):
            assert call(app, method, f"/u/{token}").status_code == 404
    assert events(tmp_path) == []


# Webhooks -------------------------------------------------------------------------------------


def webhook(app: InboundApp, keys: Keys, body: Any, name: str = "msg_1") -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = sign_webhook(keys.webhook_secret, name, NOW, content)
    return call(app, "POST", "/webhooks/webhook", content=content, headers=headers)


def test_a_signed_webhook_lands_mapped_with_its_raw_body(
    app: InboundApp, keys: Keys, tmp_path: Path
) -> None:
    body = {"type": "replied", "data": {"email": "ann@example.com"}}
    response = webhook(app, keys, body)
    (line,) = landed(tmp_path / "home")
    assert response.status_code == 202
    assert response.json() == {"ids": [line["id"]]}
    assert line["source"] == "webhook:webhook"
    assert json.loads(line["raw"]) == body
    assert line["error"] is None
    assert line["headers"] == {"webhook-id": "msg_1"}
    assert line["events"] == [{"key": "msg_1:0", "kind": "replied", "email": "ann@example.com"}]


def test_a_repeated_delivery_has_the_same_event_key(
    app: InboundApp, keys: Keys, tmp_path: Path
) -> None:
    body = {"type": "opened", "data": {"send_id": 5}}
    for _ in range(2):
        assert webhook(app, keys, body).status_code == 202
    webhook(app, keys, body, "msg_2")
    lines = landed(tmp_path / "home")
    assert len({line["id"] for line in lines}) == 3
    assert [event["key"] for event in events(tmp_path)] == ["msg_1:0", "msg_1:0", "msg_2:0"]


def test_a_bad_signature_is_refused_counted_and_not_landed(
    app: InboundApp, keys: Keys, tmp_path: Path
) -> None:
    body = b'{"type": "ping"}'
    late = sign_webhook(keys.webhook_secret, "msg_1", NOW - timedelta(minutes=6), body)
    for headers in (
        {},
        late,
        sign_webhook("whsec_b3RoZXI=", "msg_1", NOW, body),
        sign_webhook(keys.webhook_secret, "msg_1", NOW, b"other"),
    ):
        response = call(app, "POST", "/webhooks/webhook", content=body, headers=headers)
        assert response.status_code == 401
        assert response.json()["error"].startswith("The signature is not valid. ")
    assert landed(tmp_path / "home") == []
    assert call(app, "GET", "/health").json()["refused"]["invalid_signature"] == 4


@pytest.mark.parametrize("body", [b"no json", b"\xc3\xa9", b"{}", b'{"type": "strange"}', b""])
def test_a_signed_body_that_cannot_be_mapped_lands_with_its_reason(
    app: InboundApp, keys: Keys, tmp_path: Path, body: bytes
) -> None:
    response = webhook(app, keys, body)
    (line,) = landed(tmp_path / "home")
    assert response.status_code == 202
    assert response.json() == {"ids": [line["id"]], "errors": [line["error"]]}
    assert line["raw"] == body.decode()
    assert line["leads"] == line["events"] == []
    assert call(app, "GET", "/health").json()["refused"]["unmapped"] == 1


def test_one_bad_item_gets_a_line_of_its_own(app: InboundApp, keys: Keys, tmp_path: Path) -> None:
    good = {"type": "opened", "data": {"send_id": 5}}
    webhook(app, keys, [good, {"type": "strange"}])
    first, second = landed(tmp_path / "home")
    assert (len(first["events"]), first["error"]) == (1, None)
    assert second["raw"] == '{"type": "strange"}'
    assert second["error"].startswith("Item 2: ")


def test_an_unknown_provider_is_named_with_those_that_exist(app: InboundApp) -> None:
    response = call(app, "POST", "/webhooks/nobody", content=b"{}")
    assert response.status_code == 404
    assert response.json() == {"error": "There is no such provider. Known are: webhook."}


def test_a_broken_provider_file_stops_the_server_before_it_starts(
    tmp_path: Path, keys: Keys
) -> None:
    (tmp_path / "providers").mkdir()
    (tmp_path / "providers" / "own.yml").write_text("inbound: {}")
    with pytest.raises(DripError, match=r"own\.yml:1: inbound\.signature: Field required"):
        create_app(tmp_path / "home", Settings(sequences=tmp_path))


def test_a_home_without_keys_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DripError, match="Run `drip init`"):
        create_app(tmp_path, Settings(sequences=tmp_path))


# Limits ---------------------------------------------------------------------------------------


async def _endless() -> Any:
    for _ in range(10 * 16):
        yield b"x" * (1 << 16)


@pytest.mark.parametrize("path", ["/webhooks/webhook", "/api/leads", "/u/token"])
@pytest.mark.parametrize("is_declared", [True, False])
def test_ten_megabytes_are_refused_unread(
    app: InboundApp, tmp_path: Path, path: str, is_declared: bool
) -> None:
    content = b"x" * (10 << 20) if is_declared else _endless()
    response = call(app, "POST", path, content=content)
    assert response.status_code == 413
    assert response.json() == {
        "error": "The body is larger than 1,048,576 bytes. Send it in parts."
    }
    assert landed(tmp_path / "home") == []


def test_a_body_of_just_the_limit_is_taken_in(app: InboundApp, keys: Keys, tmp_path: Path) -> None:
    assert webhook(app, keys, b" " * BODY_LIMIT).status_code == 202
    assert webhook(app, keys, b" " * (BODY_LIMIT + 1)).status_code == 413
    assert len(landed(tmp_path / "home")) == 1


def test_a_sender_that_hangs_up_in_the_middle_lands_nothing(
    app: InboundApp, keys: Keys, tmp_path: Path
) -> None:
    token = unsubscribe_url("", keys.token_key, 9)
    scope = {
        "type": "http", "method": "POST", "path": token, "headers": [], "query_string": b"",
        "client": ("127.0.0.1", 5),
    }  # fmt: skip
    messages = iter(
        [{"type": "http.request", "body": b"List-", "more_body": True}, {"type": "http.disconnect"}]
    )
    answers: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        answers.append(message)

    asyncio.run(app(scope, receive, send))
    assert answers == []
    assert events(tmp_path) == []


def test_on_a_disk_that_cannot_be_written_everybody_is_told_to_come_again(
    tmp_path: Path, keys: Keys
) -> None:
    home = tmp_path / "home"
    (home / "landing").write_text("a file where the folder should be")
    app = create_app(home, Settings(home=home, sequences=tmp_path), now=lambda: NOW)
    click = call(app, "GET", click_url(BASE, keys.token_key, 8, 2, TARGET))
    answers = [
        call(app, "GET", open_url(BASE, keys.token_key, 8)),
        click,
        call(app, "POST", unsubscribe_url(BASE, keys.token_key, 8)),
        webhook(app, keys, {"type": "ping"}),
        call(
            app,
            "POST",
            "/api/leads",
            json={"email": "a@b.co"},
            headers={"authorization": f"Bearer {keys.api_key}"},
        ),
    ]
    assert [answer.status_code for answer in answers] == [503] * 5
    assert [answer.headers["retry-after"] for answer in answers] == ["30"] * 5
    assert "Go on to https://example.com/pricing" in click.text
    assert call(app, "GET", "/health").json()["status"] == "degraded"
    (home / "landing").unlink()
    assert webhook(app, keys, {"type": "ping"}).status_code == 202
    assert call(app, "GET", "/health").json() == {
        "status": "ok",
        "landing": {"count_lines": 1, "count_failures": 5},
        "refused": {"invalid_signature": 0, "invalid_token": 0, "too_large": 0, "unmapped": 0},
    }
    app.close()


# A real server --------------------------------------------------------------------------------

SERVE = """
import sys
from pathlib import Path
from pipeline.inbound.server import serve
from pipeline.settings import load_settings

home = Path(sys.argv[1])
serve(load_settings(home=home, sequences=home, port=int(sys.argv[2])))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path, keys: Keys) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    child = subprocess.Popen([sys.executable, "-c", SERVE, str(tmp_path / "home"), str(port)])
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{base}/health")
                break
            except httpx.TransportError:
                assert child.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.05)
        yield child, base
    finally:
        child.kill()
        child.wait()


def answered_sends(base: str, keys: Keys, child: subprocess.Popen[bytes]) -> set[int]:
    answered: set[int] = set()
    numbers = count(1)

    async def visit(client: httpx.AsyncClient) -> None:
        for number in numbers:
            try:
                response = await client.get(open_url(base, keys.token_key, number))
            except httpx.TransportError:
                return
            assert response.status_code == 200
            answered.add(number)
            if len(answered) == 500:
                child.send_signal(signal.SIGKILL)

    async def run() -> None:
        async with httpx.AsyncClient() as client:
            await asyncio.gather(*(visit(client) for _ in range(20)))

    asyncio.run(run())
    return answered


def test_after_kill_9_every_answered_request_is_in_landing(
    server: tuple[subprocess.Popen[bytes], str], keys: Keys, tmp_path: Path
) -> None:
    child, base = server
    answered = answered_sends(base, keys, child)
    assert child.wait(10) == -signal.SIGKILL
    assert len(answered) >= 500
    # Only the very last line may be torn: the next server writes to a segment of its own.
    whole = [
        text
        for path in (tmp_path / "home" / "landing").glob("*.jsonl")
        for text in path.read_bytes().splitlines(keepends=True)
        if text.endswith(b"\n")
    ]
    in_landing = {json.loads(text)["events"][0]["send_id"] for text in whole}
    assert answered <= in_landing


def test_a_real_server_refuses_ten_megabytes_keeps_answering_and_stops_cleanly(
    server: tuple[subprocess.Popen[bytes], str], keys: Keys, tmp_path: Path
) -> None:
    child, base = server
    assert httpx.post(f"{base}/webhooks/webhook", content=b"x" * (10 << 20)).status_code == 413
    chunks = (b"x" * (1 << 16) for _ in range(10 * 16))
    assert httpx.post(f"{base}/api/leads", content=chunks).status_code == 413
    body = b'{"type": "opened", "data": {"send_id": 5}}'
    headers = sign_webhook(keys.webhook_secret, "msg_1", datetime.now(UTC), body)
    response = httpx.post(f"{base}/webhooks/webhook", content=body, headers=headers)
    assert response.status_code == 202
    assert httpx.get(f"{base}/health").json()["refused"]["too_large"] == 2
    child.send_signal(signal.SIGTERM)
    child.wait(15)
    assert [line["source"] for line in landed(tmp_path / "home")] == ["webhook:webhook"]


def test_a_port_in_use_is_said_in_one_sentence(tmp_path: Path, keys: Keys) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DripError, match=f"Cannot listen on 127.0.0.1:{port} .*DRIP_PORT"):
            serve(Settings(home=tmp_path / "home", sequences=tmp_path, port=port))
