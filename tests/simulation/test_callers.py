import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.inbound.server import create_app
from pipeline.messages.links import click_url, open_url, unsubscribe_url
from pipeline.settings import Keys, load_settings
from pipeline.simulation.callers import Callers, CallFailed, VirtualClock, seeded_ids
from pipeline.simulation.market import Reaction

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
BASE = "http://mail.example"


def later(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def call(home: Path, keys: Keys, reactions: list[Reaction], seed: int = 1) -> list[dict[str, str]]:
    """Call the real server and return what landed."""
    clock = VirtualClock(NOW)
    settings = load_settings(home=home, sequences=home)
    app = create_app(home, settings, now=clock, new_id=seeded_ids(seed))
    with Callers(app, clock, keys) as callers:
        callers.call(reactions)
    app.close()
    texts = [path.read_text() for path in sorted((home / "landing").glob("inbound-*.jsonl"))]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def visit(keys: Keys, url: str, at: datetime) -> Reaction:
    return Reaction(at, "visit", "x", url.removeprefix(BASE), "Agent/1", "198.51.100.7")


def every_kind(keys: Keys) -> list[Reaction]:
    key = keys.token_key
    report = {"type": "replied", "data": {"message_id": "<7.a@x.example>"}}
    way_out = unsubscribe_url(BASE, key, 7).removeprefix(BASE)
    return [
        Reaction(later(0), "leads", "lead", leads=({"email": "ann@x.example"},)),
        visit(keys, open_url(BASE, key, 7), later(1)),
        visit(keys, click_url(BASE, key, 7, 0, "https://a.example/1"), later(2)),
        visit(keys, f"{BASE}{way_out}", later(3)),
        Reaction(later(4), "leave", "unsubscribed", way_out),
        Reaction(later(5), "report", "replied", report_id="r1", report=report),
    ]


def test_each_request_lands_at_its_own_moment_and_looking_at_a_page_lands_nothing(
    home: Path, keys: Keys
) -> None:
    lines = call(home, keys, every_kind(keys))
    found = [(line["received_at"][17:19], line["source"]) for line in lines]
    assert sorted(found) == [
        ("00", "api"),
        ("01", "tracker"),
        ("02", "tracker"),
        ("04", "tracker"),
        ("05", "webhook:webhook"),
    ]


def test_the_same_seed_lands_the_same_bytes(home: Path, keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "keys.json").write_bytes((home / "keys.json").read_bytes())
    lines = call(home, keys, every_kind(keys))
    assert call(tmp_path / "other", keys, every_kind(keys)) == lines
    assert {len(line["id"]) for line in lines} == {32}


def test_a_wrong_answer_is_an_error(home: Path, keys: Keys) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        call(home, keys, [Reaction(NOW, "visit", "clicked", "/c/forged")])
    assert caught.group_contains(CallFailed, match="answered 404 to a visit")
