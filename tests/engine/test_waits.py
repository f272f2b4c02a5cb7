"""Waiting for an event: at once when it is there, at its own time, or at the time-out (R1)."""

from datetime import timedelta

import pytest

from pipeline.engine.pauses import resume_enrollment

READER = "Mozilla/5.0 (Windows NT 10.0) Thunderbird/128.0"
MAIL = "  - {id: %s, channel: email, subject: Hi, body: templates/hello.md}\n"
START = """\
  - {id: a, channel: email, subject: Hi, body: templates/hello.md}
  - {id: w, wait_for: {%s, timeout: 2d}}
  - {id: b, after: 4h, channel: email, subject: Hi, body: templates/hello.md}
"""
WAITS = "select due_at, anchor_at, step_ix from live"


@pytest.fixture
def started(world):
    """Let one lead wait after its first mail for whatever the test says."""

    def run(what, head="react: {replied: continue, unsubscribed: continue}\n"):
        world.sequence("one", START % what, head)
        world.leads(1)
        world.tick()
        return world

    return run


def settled_at(world):
    """When the wait was settled: the anchor of the step behind it."""
    ((_, anchor, ix),) = world.rows(WAITS)
    assert ix == 2
    return anchor


def test_nothing_happens_until_the_time_out(started):
    world = started("event: replied")
    begun = world.now
    report = world.tick(days=1)
    assert report.next_at == begun + timedelta(days=2)
    world.tick(days=1, hours=6)
    # Settled at its time-out, however late the tick: the mail four hours later is sent already.
    assert world.rows("select slot_at from sends where step_ix = 2") == [
        (begun + timedelta(days=2, hours=4),)
    ]


def test_a_reply_settles_it_when_it_happened(started):
    world = started("event: replied")
    world.now += timedelta(hours=5)
    replied = world.now - timedelta(minutes=20)
    world.event("replied", send_id=1, occurred_at=replied.isoformat())
    world.tick()
    assert settled_at(world) == replied


def test_an_event_that_is_there_already_settles_it_at_once(world):
    steps = MAIL % "a" + "  - {id: x, wait: 3h}\n" + START.split("\n", 1)[1] % "event: replied"
    world.sequence("one", steps, "react: {replied: continue}\n")
    world.leads(1)
    world.tick()
    world.event("replied", send_id=1)
    world.tick(hours=1)
    world.tick(hours=2)
    ((due, anchor, ix),) = world.rows(WAITS)
    assert ix == 3
    assert anchor == world.now  # when the step before was settled
    assert due == world.now + timedelta(hours=4)


def test_an_open_counts_once_it_could_be_judged_and_from_when_it_happened(started):
    world = started("event: opened, step: a")
    world.now += timedelta(hours=1)
    opened = world.now
    world.event("opened", send_id=1, agent=READER)
    assert world.tick().next_at == opened + timedelta(seconds=10)
    assert world.rows("select step_ix from live") == [(1,)]
    world.tick(seconds=10)
    assert settled_at(world) == opened


def test_a_click_is_an_open_as_well(started):
    world = started("event: opened, step: a")
    world.now += timedelta(hours=1)
    world.event("clicked", send_id=1, agent=READER, url="https://example.com/a")
    world.tick(seconds=60)
    assert world.rows("select step_ix from live") == [(2,)]


@pytest.mark.parametrize("kind", ["opened", "clicked"])
def test_an_open_that_is_known_by_address_only_settles_it_once_it_could_be_judged(started, kind):
    world = started("event: opened")
    world.now += timedelta(hours=1)
    opened = world.now
    world.event(kind, email="u0@example.com", agent=READER)
    assert world.tick().next_at == opened + timedelta(seconds=10)
    world.tick(seconds=10)
    assert settled_at(world) == opened


def test_only_the_link_that_is_waited_for_counts(started):
    world = started("event: clicked, step: a, url: '*pricing*'")
    world.now += timedelta(hours=1)
    world.event("clicked", send_id=1, agent=READER, url="https://example.com/a")
    world.tick(hours=1)
    assert world.rows("select step_ix from live") == [(1,)]
    world.event("clicked", send_id=1, agent=READER, url="https://example.com/pricing?x=1")
    world.tick(hours=1)
    assert world.rows("select step_ix from live") == [(2,)]


def test_a_machine_opens_nothing(started):
    world = started("event: opened, step: a")
    world.event("opened", send_id=1, agent="curl/8.5.0")
    world.tick(hours=1)
    assert world.rows("select step_ix from live") == [(1,)]


def test_a_late_message_counts_when_it_happened_before_the_time_out(started):
    world = started("event: replied")
    begun = world.now
    world.now += timedelta(days=2, hours=12)
    replied = begun + timedelta(days=1, hours=12)
    world.event("replied", send_id=1, occurred_at=replied.isoformat())
    world.tick()
    assert world.rows("select slot_at from sends where step_ix = 2") == [
        (replied + timedelta(hours=4),)
    ]


def test_what_happened_after_the_time_out_never_settles_it(started):
    world = started("event: replied")
    begun = world.now
    world.now += timedelta(days=2, minutes=30)
    world.event("replied", send_id=1)
    world.tick()
    assert settled_at(world) == begun + timedelta(days=2)


def test_an_enrollment_may_end_at_the_time_out(started):
    world = started("event: replied, on_timeout: exit")
    begun = world.now
    world.tick(days=4)
    assert world.rows("select ended_at, status, reason from enrollment_ends") == [
        (begun + timedelta(days=2), "exited", "timeout")
    ]
    assert len(world.mail()) == 1


def test_a_custom_event_of_the_lead_is_waited_for_by_its_name(started):
    world = started("event: custom, name: demo")
    world.event("custom", email="u0@example.com", name="other")
    world.tick(hours=1)
    assert world.rows("select step_ix from live") == [(1,)]
    world.event("custom", email="u0@example.com", name="demo")
    world.tick(hours=1)
    assert world.rows("select step_ix from live") == [(2,)]


def test_a_pause_moves_the_time_out_and_an_event_meanwhile_still_counts(started):
    world = started("event: clicked, step: a", "react: {replied: pause}\n")
    world.event("replied", send_id=1)
    world.tick(hours=1)
    world.event("clicked", send_id=1, agent=READER, url="https://example.com/a")
    clicked = world.now
    world.tick(hours=1)
    assert world.rows("select step_ix from live") == [(1,)]
    resume_enrollment(world.settings, 1, world.now)
    world.tick()
    assert settled_at(world) == clicked


def test_a_tick_without_news_reads_no_event(started):
    world = started("event: replied")
    world.tick(hours=1)
    with world.ledger() as con:
        due = con.execute("select slot_at = due_at from live").fetchall()
    assert due == [(True,)]
