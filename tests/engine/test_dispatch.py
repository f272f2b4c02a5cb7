"""Handing over: the journal's order, time per chunk, senders that are gone, wrong settings."""

import json

import pytest

from pipeline.engine import dispatch
from pipeline.engine.tick import tick
from pipeline.settings import DripError

MAIL = "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"


def journal_of(world):
    return [
        json.loads(line)
        for path in sorted((world.home / "landing").glob("journal-*"))
        for line in path.read_text().splitlines()
    ]


def test_every_end_has_its_begin_before_it(world):
    world.sequence("one", MAIL)
    world.leads(30)
    world.tick()
    begun = set()
    for line in journal_of(world):
        if "begin" in line:
            begun.add(line["begin"])
        else:
            assert line["end"] in begun
    assert len(begun) == 30


def test_chunks_are_bounded_and_all_of_them_go_out(world, monkeypatch):
    monkeypatch.setattr("pipeline.engine.tick.CHUNK_MESSAGES", 7)
    world.sequence("one", MAIL)
    world.leads(30)
    assert world.tick().counts["handed_over"] == 30


def test_a_chunk_that_takes_too_long_ends_early_and_loses_nothing(world, monkeypatch):
    monkeypatch.setattr(dispatch, "CHUNK_SECONDS", 0.0)
    world.sequence("one", MAIL)
    world.leads(45)
    assert world.tick().counts["handed_over"] == 45


def test_a_message_that_cannot_be_filled_is_refused_alone(world):
    (world.folder / "templates" / "name.md").write_text("Dear {{ first_name }}, {{ plan }}")
    world.sequence("one", "  - {id: a, channel: email, subject: Hi, body: templates/name.md}\n")
    world.land(
        leads=[
            {
                "email": "a@example.com",
                "source": "ONE",
                "first_name": "Ann",
                "attributes": {"plan": "x"},
            },
            {"email": "b@example.com", "source": "ONE"},
        ]
    )
    world.tick()
    rows = world.rows("select status, reason from send_status order by status")
    assert [row[0] for row in rows] == ["handed_over", "refused"]
    assert "first_name" in rows[1][1]
    assert "b@example.com" not in rows[1][1]


def test_a_transport_that_nobody_answers_is_tried_again_later(world):
    text = (world.folder / "workspace.yml").read_text()
    text = text.replace('<ann@example.com>"}', '<ann@example.com>", transport: out}', 1)
    text += "transports: {out: {kind: smtp, host: 127.0.0.1, port: 1, tls: none}, maildir: {kind: maildir}}\n"
    (world.folder / "workspace.yml").write_text(text)
    world.sequence("one", MAIL)
    world.leads(2)
    report = world.tick()
    assert report.counts["retry"] == 2
    assert report.next_at is not None
    assert world.rows("select outcome, count(*) from why_outcomes group by all") == [
        ("in_flight", 2)
    ]


def test_a_password_over_a_plain_wire_is_refused_before_anything_is_begun(world):
    text = (world.folder / "workspace.yml").read_text()
    text = text.replace('<ann@example.com>"}', '<ann@example.com>", transport: out}', 1)
    text += (
        "transports: {out: {kind: smtp, host: mail.example.com, port: 25, tls: none, username: me}, "
        "maildir: {kind: maildir}}\n"
    )
    (world.folder / "workspace.yml").write_text(text)
    world.sequence("one", MAIL)
    world.leads(1)
    settings = world.settings.model_copy(update={"smtp_password": "secret"})
    with pytest.raises(DripError):
        tick(settings, lambda: world.now)
    assert journal_of(world) == []
