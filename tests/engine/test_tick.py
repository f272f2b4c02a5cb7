"""The tick as a whole: what lands is known before anybody is contacted; nothing is done twice."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.engine.tick import Run, tick
from pipeline.ledger.locks import hold_lock
from pipeline.settings import DripError

TWO = (
    "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
    "  - {id: b, after: 1h, channel: email, subject: Hi, body: templates/hello.md}\n"
)


def test_a_tick_with_nothing_to_do_changes_nothing(world):
    world.sequence("one", TWO)
    world.leads(3)
    world.tick()
    before = world.rows("select count(*) from why"), world.rows("select count(*) from jobs")
    report = world.tick()
    assert report.counts == {}
    assert report.next_at == world.now + timedelta(hours=1)
    assert (
        world.rows("select count(*) from why"),
        world.rows("select count(*) from jobs"),
    ) == before


def test_a_tick_beside_a_dispatcher_plans_and_leaves(world):
    world.sequence("one", TWO)
    world.leads(2)
    with hold_lock(world.home / "dispatch.lock"):
        report = world.tick()
        assert not report.is_dispatcher
        assert report.counts["claimed"] == 2
        assert world.tick().counts == {}
    assert world.mail() == []
    assert world.tick().counts["handed_over"] == 2


def test_whatever_has_landed_is_known_before_anybody_is_contacted(world, monkeypatch):
    world.sequence("one", TWO)
    world.leads(2)
    world.tick()
    world.now += timedelta(hours=1)
    # so much has landed that one transaction does not take it all in; the last line is the one that counts
    monkeypatch.setattr("pipeline.engine.tick.MAX_BYTES", 4000)
    world.leads(60, source="OTHER")
    for _ in range(30):
        world.event("custom", name="visit", email="u0@example.com")
    world.event("unsubscribed", email="u1@example.com")
    world.tick()
    assert len(world.mail()) == 3


def test_a_mistake_in_a_file_stops_the_tick_before_anything_happens(world):
    world.sequence("one", TWO)
    world.leads(1)
    (world.folder / "bad.yml").write_text("status: active\nsteps: [\n")
    with pytest.raises(DripError, match=r"bad\.yml"):
        world.tick()
    assert world.rows("select count(*) from leads") == [(0,)]
    (world.folder / "bad.yml").unlink()
    assert world.tick().counts["handed_over"] == 1


def test_a_whole_sequence_to_the_minute(world):
    """The six-touch pattern of the requirements, with its waits, in a zone with daylight saving."""
    steps = (
        "  - {id: m1, channel: email, subject: '1', body: templates/hello.md}\n"
        "  - {id: s1, after: 12h, channel: sms, text: '2'}\n"
        "  - {id: m2, after: 1d, channel: email, subject: '3', body: templates/hello.md}\n"
        "  - {id: s2, after: 5d, channel: sms, text: '4'}\n"
        "  - {id: m3, after: 1w, channel: email, subject: '5', body: templates/hello.md}\n"
    )
    world.sequence("one", steps)
    world.now = datetime(
        2026, 3, 1, 15, 0, tzinfo=UTC
    )  # 10:00 in New York, a week before the clocks change
    world.leads(1, timezone="America/New_York")
    world.tick_until(datetime(2026, 4, 1, tzinfo=UTC))
    sent = [row[0] for row in world.rows("select claimed_at from sends order by send_id")]
    assert sent == [
        datetime(2026, 3, 1, 15, 0, tzinfo=UTC),
        datetime(2026, 3, 2, 3, 0, tzinfo=UTC),
        datetime(2026, 3, 3, 3, 0, tzinfo=UTC),
        datetime(2026, 3, 8, 3, 0, tzinfo=UTC),
        datetime(2026, 3, 15, 2, 0, tzinfo=UTC),  # the same 22:00 on the wall
    ]


def test_a_tick_whose_time_is_over_leaves_what_is_claimed_to_the_next(world, monkeypatch):
    monkeypatch.setattr(Run, "chunk_size", 2)
    world.sequence("one", TWO)
    world.leads(7)
    report = tick(world.settings, lambda: world.now, until=world.now)
    assert report.counts["claimed"] == 7
    assert report.counts["handed_over"] == 2
    assert report.next_at is not None
    assert report.next_at < world.now
    assert len(world.mail()) == 2
    report = tick(world.settings, lambda: world.now, until=world.now + timedelta(seconds=1))
    assert report.counts["handed_over"] == 5
    assert sorted(mail["To"] for mail in world.mail()) == [f"u{i}@example.com" for i in range(7)]
