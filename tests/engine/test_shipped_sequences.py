"""The shipped sequences on a virtual clock, to the minute (requirements.md 14 to 16)."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.sequences.library import new_sequence
from tests.engine.conftest import MONDAY

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(world):
    """A workspace that has a sender for calls."""
    path = world.folder / "workspace.yml"
    call = '  calls: {channel: call, address: "Bo <bo@example.com>"}\n'
    path.write_text(path.read_text().replace("goals:", call + "goals:"))
    return world


def start(world, template):
    """Write the template's file as it is shipped, with one word changed: active."""
    path, *_ = new_sequence(world.folder, "mine", template, taken=())
    path.write_text(path.read_text().replace("status: draft", "status: active", 1))


def claims(world):
    return world.rows(
        "select step_id, channel, claimed_at from sends "
        "inner join steps using (version_id, step_ix) order by claimed_at"
    )


def live_through(world, moments):
    """Tick a minute before each moment, when nothing goes, and at it, when one message does."""
    for number, moment in enumerate(moments):
        if moment > world.now:
            world.now = moment - MINUTE
            world.tick()
            assert len(claims(world)) == number
        world.now = moment
        world.tick()
        assert len(claims(world)) == number + 1


def test_a_new_meta_lead_gets_six_contacts_in_seven_days(world):
    start(world, "new_meta_lead")
    world.leads(1, source="META")
    offsets = [
        timedelta(0),
        timedelta(hours=12),
        timedelta(hours=24),
        timedelta(days=2),
        timedelta(days=5),
        timedelta(days=7),
    ]
    moments = [MONDAY + offset for offset in offsets]
    live_through(world, moments)
    names = ["welcome", "hello", "details", "call", "reminder", "last_mail"]
    channels = ["email", "sms", "email", "call", "sms", "email"]
    assert claims(world) == list(zip(names, channels, moments, strict=True))
    assert world.rows("select status, reason, ended_at from enrollment_ends") == [
        ("completed", None, moments[-1])
    ]
    assert world.rows("select distinct outcome from why_outcomes") == [("sent",)]


def test_whoever_replies_to_the_second_contact_gets_no_third(world):
    start(world, "new_meta_lead")
    world.leads(1, source="META")
    live_through(world, [MONDAY, MONDAY + timedelta(hours=12)])
    world.event("replied", phone="+15550100000")
    world.tick_until(MONDAY + timedelta(days=30))
    assert len(claims(world)) == 2
    assert world.rows("select status, reason from enrollment_ends") == [("exited", "replied")]


def at(day, hour=14):
    """Nine in New York, unless said otherwise."""
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def test_cold_outreach_waits_for_tuesday_and_ends_ten_silent_days_after_the_third_mail(world):
    start(world, "cold_outreach")
    world.leads(1, source="BULK")
    world.tick()
    # Three days after Tuesday is a Friday: not for cold mail, so Tuesday again.
    moments = [at(6), at(13), at(20)]
    live_through(world, moments)
    assert claims(world) == [
        ("introduction", "email", moments[0]),
        ("example", "email", moments[1]),
        ("last_mail", "email", moments[2]),
    ]
    world.now = at(30) - MINUTE
    world.tick()
    assert world.rows("select * from enrollment_ends") == []
    world.now = at(30)
    world.tick()
    assert world.rows("select status, reason, ended_at from enrollment_ends") == [
        ("completed", "inactive", at(30))
    ]


def test_a_reply_to_the_second_cold_mail_ends_it_and_nobody_is_called_inactive(world):
    start(world, "cold_outreach")
    world.leads(1, source="BULK")
    world.tick()
    live_through(world, [at(6), at(13)])
    world.event("replied", email="u0@example.com")
    world.tick_until(at(31))
    assert len(claims(world)) == 2
    assert world.rows("select status, reason from enrollment_ends") == [("exited", "replied")]
