"""What events do to running enrollments: stop, pause, facts, suppression."""

from datetime import timedelta

import pytest

from pipeline.engine.pauses import resume_enrollment

TWO = (
    "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
    "  - {id: b, after: 1h, channel: email, subject: Hi, body: templates/hello.md}\n"
)
ONE_GOAL = "goal: {event: converted, name: sale, within: 30d}\n"


def ends(world):
    return world.rows("select status, reason from enrollment_ends order by all")


@pytest.mark.parametrize(
    ("kind", "extra", "end"),
    [
        pytest.param("replied", {}, ("exited", "replied"), id="reply"),
        pytest.param("bounced", {}, ("exited", "bounced"), id="bounce"),
        pytest.param("complained", {}, ("exited", "complained"), id="complaint"),
        pytest.param("converted", {"name": "sale"}, ("converted", "sale"), id="conversion"),
    ],
)
def test_an_event_that_stops_ends_the_enrollment_and_nothing_more_goes_out(world, kind, extra, end):
    world.sequence("one", TWO, head=ONE_GOAL)
    world.leads(2)
    world.tick()
    world.now += timedelta(minutes=59)
    world.event(kind, send_id=1, **extra)
    world.now += timedelta(minutes=1)
    world.tick()
    assert ends(world) == [("completed", None), end]
    assert len(world.mail()) == 3


def test_another_goal_ends_nothing(world):
    world.sequence("one", TWO, head=ONE_GOAL)
    world.leads(1)
    world.tick()
    world.event("converted", name="demo", send_id=1)
    world.tick(hours=1)
    assert len(world.mail()) == 2


def test_a_conversion_before_the_enrollment_ends_nothing(world):
    world.sequence("one", TWO, head=ONE_GOAL)
    world.leads(1)
    world.tick()
    earlier = (world.now - timedelta(days=3)).isoformat()
    world.event("converted", name="sale", email="u0@example.com", occurred_at=earlier)
    world.tick(hours=1)
    assert len(world.mail()) == 2


def test_a_reply_known_by_address_acts_on_all_running_enrollments_and_a_threaded_one_on_its_own(
    world,
):
    for name in ("one", "two"):
        world.sequence(name, TWO, head="enroll: {when: \"lead.source = 'ONE'\"}\n")
    world.leads(2)
    world.tick()
    world.event("replied", email="u0@example.com")
    first_of_u1 = world.rows(
        "select min(send_id) from sends inner join identities using (lead_id) where email = 'u1@example.com'"
    )[0][0]
    world.event("replied", send_id=first_of_u1)
    world.tick()
    assert ends(world) == [("exited", "replied")] * 3


def test_an_unsubscribe_holds_for_the_whole_workspace_on_its_channel(world):
    world.sequence(
        "one",
        TWO + '  - {id: t, after: 1h, channel: sms, text: "Hi"}\n',
        head="react: {unsubscribed: continue}\n",
    )
    world.sequence(
        "two",
        "  - {id: x, after: 2h, channel: email, subject: Hi, body: templates/hello.md}\n",
        head="enroll: {when: \"lead.source = 'ONE'\"}\n",
    )
    world.leads(1)
    world.tick()
    world.event("unsubscribed", send_id=1)
    world.tick(hours=1)
    world.tick(hours=1)
    reasons = world.rows("select reason from why_outcomes where outcome = 'skipped'")
    assert reasons == [("unsubscribed",), ("unsubscribed",)]
    assert [m["To"].addresses[0].domain for m in world.mail()] == ["example.com", "sms.example.com"]


def test_subscribing_again_lifts_an_unsubscribe_but_no_complaint(world):
    world.sequence("one", TWO, head="react: {unsubscribed: continue, complained: continue}\n")
    world.leads(2)
    world.tick()
    world.event("unsubscribed", send_id=1)
    world.event("complained", send_id=2)
    world.tick(seconds=60)
    world.event("subscribed", email="u0@example.com")
    world.event("subscribed", email="u1@example.com")
    world.tick(hours=1)
    sent = world.rows("select count(*) from why_outcomes where outcome = 'sent'")
    assert sent == [(3,)]


def test_a_pause_waits_for_a_person_and_due_times_move(world):
    world.sequence("one", TWO, head="react: {replied: pause}\n")
    world.leads(1)
    world.tick()
    world.event("replied", send_id=1)
    world.tick(hours=5)
    assert len(world.mail()) == 1
    due_at = resume_enrollment(world.settings, 1, world.now)
    assert due_at == world.now + timedelta(hours=1)
    world.tick(hours=1)
    assert len(world.mail()) == 2


def test_the_same_event_twice_does_nothing_more(world):
    world.sequence("one", TWO)
    world.leads(1)
    world.tick()
    for _ in range(3):
        world.event("replied", send_id=1, key="same")
    world.tick()
    assert ends(world) == [("exited", "replied")]
    world.event("replied", send_id=1, key="same")
    world.tick()
    assert world.rows("select count(*) from events") == [(1,)]
