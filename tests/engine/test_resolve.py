"""Unknown sends: settled by what comes later, or by a person, with all that counts them."""

from datetime import timedelta

import pytest

from pipeline.engine.resolve import list_unknown, resolve
from pipeline.inbound.landing import append_lines, format_instant
from pipeline.ledger.locks import hold_lock
from pipeline.settings import DripError

STEPS = (
    "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
    "  - {id: b, after: 3h, when: \"sent('a')\", channel: email, subject: Ho, "
    "body: templates/hello.md}\n"
)
OUTCOMES = "select step_ix, outcome from why_outcomes order by planned_at, step_ix, outcome"


@pytest.fixture
def unknown(world):
    """A first mail that was begun and never answered."""
    world.sequence("one", STEPS)
    world.leads(1)
    with hold_lock(world.home / "dispatch.lock"):
        world.tick()
    begin = {"begin": 1, "attempt": 1, "at": format_instant(world.now)}
    append_lines(world.home, "journal", [begin], world.now)
    world.tick()
    assert world.rows("select status from send_status") == [("unknown",)]
    return world


def test_the_unknown_are_listed(unknown):
    (row,) = list_unknown(unknown.settings)
    assert (row["send_id"], row["sequence_id"], row["step_id"]) == (1, "one", "a")
    assert row["begun_at"] == unknown.now


@pytest.mark.parametrize("kind", ["delivered", "opened", "replied", "bounced"])
def test_a_later_event_of_the_message_settles_it(unknown, kind):
    unknown.now += timedelta(hours=1)
    unknown.event(kind, send_id=1)
    unknown.tick()
    assert unknown.rows("select status, reason from send_status") == [
        ("handed_over", "told by a later event")
    ]
    assert unknown.rows(OUTCOMES) == [(0, "sent")]
    assert list_unknown(unknown.settings) == []


def test_an_event_of_the_lead_alone_settles_nothing(unknown):
    unknown.event("meeting_booked", email="u0@example.com")
    unknown.tick(seconds=1)
    assert unknown.rows("select status from send_status") == [("unknown",)]


def test_one_that_went_out_counts_as_sent_when_it_went(unknown):
    begun = unknown.now
    unknown.now += timedelta(hours=1)
    assert not resolve(unknown.settings, 1, unknown.now, is_sent=True).is_reopened
    assert unknown.rows("select status, settled_at from send_status") == [
        ("handed_over", begun + timedelta(microseconds=1))
    ]
    unknown.tick(hours=2)
    assert [m["Subject"] for m in unknown.mail()] == ["Ho"]
    assert unknown.rows(OUTCOMES) == [(0, "sent"), (1, "sent")]


def test_one_that_did_not_go_out_is_tried_again_with_the_same_send(unknown):
    unknown.now += timedelta(hours=1)
    assert resolve(unknown.settings, 1, unknown.now, is_sent=False).is_reopened
    assert unknown.rows("select sent_mask, count_sends from live") == [(0, 0)]
    unknown.tick()
    assert [m["Subject"] for m in unknown.mail()] == ["Hi"]
    assert unknown.rows(OUTCOMES) == [(0, "postponed"), (0, "sent")]
    assert unknown.rows("select count(*) from sends") == [(1,)]
    assert unknown.rows("select sent_mask, count_sends from live") == [(1, 1)]
    unknown.tick(hours=3)
    assert [m["Subject"] for m in unknown.mail()] == ["Hi", "Ho"]


def test_what_has_gone_on_is_not_opened_again(unknown):
    unknown.tick(hours=3)
    assert not resolve(unknown.settings, 1, unknown.now, is_sent=False).is_reopened
    unknown.tick(days=1)
    assert [m["Subject"] for m in unknown.mail()] == ["Ho"]
    assert unknown.rows(OUTCOMES) == [(0, "skipped"), (1, "sent")]


def test_a_step_that_was_passed_in_the_same_tick_closes_nothing(world):
    first = (
        '  - {id: z, when: "replied()", channel: email, subject: No, body: templates/hello.md}\n'
    )
    world.sequence("one", first + STEPS)
    world.leads(1)
    with hold_lock(world.home / "dispatch.lock"):
        world.tick()
    assert world.rows(OUTCOMES) == [(0, "skipped"), (1, "in_flight")]
    ((send_id,),) = world.rows("select send_id from sends")
    begin = {"begin": send_id, "attempt": 1, "at": format_instant(world.now)}
    append_lines(world.home, "journal", [begin], world.now)
    world.tick()
    assert resolve(world.settings, send_id, world.now, is_sent=False).is_reopened
    world.tick()
    assert [m["Subject"] for m in world.mail()] == ["Hi"]


def test_what_is_known_is_not_resolved(unknown):
    resolve(unknown.settings, 1, unknown.now, is_sent=True)
    with pytest.raises(DripError, match="Send 1 is handed_over, not unknown"):
        resolve(unknown.settings, 1, unknown.now, is_sent=False)
    with pytest.raises(DripError, match=r"no send 7\. `drip resolve --list`"):
        resolve(unknown.settings, 7, unknown.now, is_sent=True)
