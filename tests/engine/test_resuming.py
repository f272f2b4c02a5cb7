"""A pause that ends by itself: to the second, whenever the tick comes, and never before its time."""

from datetime import timedelta

import pytest

from pipeline.engine.pauses import resume_enrollment
from tests.engine.conftest import MONDAY

STEPS = (
    "  - {id: a, channel: email, subject: A, body: templates/hello.md}\n"
    "  - {id: b, after: 2d, channel: email, subject: B, body: templates/hello.md}\n"
)
REACT = "react: {replied: {do: pause, resume_after: 3d}, meeting_booked: pause, bounced: {do: pause, resume_after: 10d}}\n"


@pytest.fixture
def replied(world):
    """One lead that got the first mail on Monday and replied an hour later."""
    world.sequence("one", STEPS, head=REACT)
    world.leads(1)
    world.tick()
    world.now += timedelta(hours=1)
    world.event("replied", email="u0@example.com")
    return world


def due_at(world):
    return world.rows("select due_at, is_paused from live")


def test_the_open_step_moves_by_the_length_of_the_pause_and_not_by_that_of_the_wait_for_a_tick(
    replied,
):
    report = replied.tick()
    paused_at = MONDAY + timedelta(hours=1)
    assert due_at(replied) == [(MONDAY + timedelta(days=2), True)]
    assert report.next_at == paused_at + timedelta(days=3)
    assert replied.tick(days=2.9).counts == {}
    assert replied.tick(days=1).counts["resumed"] == 1
    assert due_at(replied) == [(MONDAY + timedelta(days=5), False)]
    assert replied.rows("select paused_at, resumed_at, reason from enrollment_pauses") == [
        (paused_at, paused_at + timedelta(days=3), "replied")
    ]
    replied.tick_until(MONDAY + timedelta(days=9))
    assert replied.rows("select max(claimed_at) from sends") == [(MONDAY + timedelta(days=5),)]


def test_another_reason_to_pause_makes_it_longer_and_one_that_needs_a_person_needs_a_person(
    replied,
):
    replied.tick()
    replied.event("bounced", email="u0@example.com")
    ends = MONDAY + timedelta(days=10, hours=1)
    assert replied.tick().next_at == ends
    replied.tick(days=5)
    assert replied.rows("select resumes_at from enrollment_pauses") == [(ends,)]
    replied.event("meeting_booked", email="u0@example.com")
    assert replied.tick().next_at is None
    assert "resumed" not in replied.tick(days=30).counts
    assert due_at(replied) == [(MONDAY + timedelta(days=2), True)]


def test_whoever_ended_meanwhile_does_not_come_back(replied):
    replied.tick()
    replied.event("unsubscribed", email="u0@example.com")
    assert replied.tick(hours=1).next_at is None
    assert replied.tick(days=4).counts == {}
    assert replied.rows("select resumed_at, resumes_at from enrollment_pauses") == [(None, None)]
    assert replied.rows("select status, reason from enrollment_ends") == [
        ("exited", "unsubscribed")
    ]


def test_a_person_may_resume_earlier(replied):
    replied.tick()
    ((enrollment_id,),) = replied.rows("select enrollment_id from enrollments")
    replied.now += timedelta(days=1)
    resume_enrollment(replied.settings, enrollment_id, replied.now)
    assert due_at(replied) == [(MONDAY + timedelta(days=3), False)]
    assert "resumed" not in replied.tick(days=2).counts
    assert due_at(replied) == []
