"""Resuming: due times move by the length of the pause, once."""

from datetime import timedelta

import pytest

from pipeline.engine.pauses import resume_enrollment
from pipeline.settings import DripError

STEPS = (
    "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
    "  - {id: b, after: 3h, channel: email, subject: Hi, body: templates/hello.md}\n"
)


@pytest.fixture
def paused(world):
    """Two leads; the first one's enrollment is paused one hour after the first mail."""
    world.sequence("one", STEPS, head="react: {replied: pause}\n")
    world.leads(2)
    world.tick()
    world.now += timedelta(hours=1)
    world.event("replied", send_id=1)
    world.tick()
    assert world.rows("select enrollment_id from live where is_paused") == [(1,)]
    return world


def test_the_due_time_moves_by_the_length_of_the_pause(paused):
    due = paused.rows("select due_at from live where enrollment_id = 1")[0][0]
    paused.now += timedelta(hours=26)
    assert resume_enrollment(paused.settings, 1, paused.now) == due + timedelta(hours=26)
    paused.tick()
    assert len(paused.mail()) == 3  # the other lead's second mail; here two hours are still to go
    paused.tick(hours=2)
    assert len(paused.mail()) == 4


def test_a_paused_enrollment_gets_nothing_and_nobody_else_is_held_up(paused):
    paused.tick_until(paused.now + timedelta(days=10))
    assert len(paused.mail()) == 3
    assert paused.rows("select status from enrollment_ends") == [("completed",)]


def test_resuming_twice_is_refused_and_moves_nothing_more(paused):
    paused.now += timedelta(hours=1)
    due = resume_enrollment(paused.settings, 1, paused.now)
    with pytest.raises(DripError, match=r"Enrollment 1 is not paused\. `drip why enrollment:1`"):
        resume_enrollment(paused.settings, 1, paused.now + timedelta(hours=1))
    assert paused.rows("select due_at from live where enrollment_id = 1") == [(due,)]
    assert paused.rows("select count(resumed_at), count(*) from enrollment_pauses") == [(1, 1)]


@pytest.mark.parametrize("enrollment_id", [2, 99])
def test_what_is_not_paused_cannot_be_resumed(paused, enrollment_id):
    with pytest.raises(DripError, match=f"Enrollment {enrollment_id} is not paused"):
        resume_enrollment(paused.settings, enrollment_id, paused.now)


def test_a_second_pause_is_resumed_by_its_own_length(paused):
    paused.now += timedelta(hours=5)
    due = resume_enrollment(paused.settings, 1, paused.now)
    paused.now += timedelta(minutes=10)
    paused.event("replied", send_id=1)
    paused.tick()
    paused.now += timedelta(hours=7)
    assert resume_enrollment(paused.settings, 1, paused.now) == due + timedelta(hours=7)
