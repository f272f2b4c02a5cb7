"""The state in numbers: every planned step is counted once, under what became of it."""

from datetime import timedelta

from pipeline.engine.status import OUTCOMES, read_status

STEP = "  - {id: %s, channel: email, subject: Hi, body: templates/hello.md%s}\n"
TWO = STEP % ("a", "") + STEP % ("b", ", after: 1h")


def test_an_empty_workspace_has_nothing_and_says_so(world):
    status = read_status(world.settings)
    assert (status.leads, status.enrollments, status.planned, status.waiting) == (0, {}, 0, 0)
    assert status.outcomes == dict.fromkeys(OUTCOMES, 0)
    assert (status.next_due_at, status.last_tick_at, status.last_refresh_at) == (None, None, None)


def test_every_kind_of_outcome_is_in_the_sum(world):
    world.sequence("one", TWO)
    world.sequence("late", STEP % ("a", ""), calendar='calendar: {hours: "20:00-21:00"}\n')
    rule = "enroll: {when: \"lead.source = 'HELD'\", holdout: 50%}\n"
    world.sequence("held", STEP % ("a", ""), head=rule)
    world.leads(4, source="ONE")
    world.land(leads=[{"email": f"l{i}@example.com", "source": "LATE"} for i in range(3)])
    world.land(leads=[{"email": f"h{i}@example.com", "source": "HELD"} for i in range(40)])
    world.tick()
    status = read_status(world.settings)
    assert status.leads == 47
    held_out = status.outcomes["held_out"]
    assert 5 < held_out < 35
    assert status.outcomes["sent"] == 4 + 40 - held_out
    assert status.outcomes["postponed"] == 3
    assert status.planned == sum(status.outcomes.values()) == 47
    assert status.last_tick_at == world.now
    # those who are never contacted count as enrolled nowhere
    assert sum(status.enrollments["held"].values()) == 40 - held_out
    assert status.enrollments["one"] == {"active": 4}
    assert status.enrollments["late"] == {"active": 3}


def test_ended_and_paused_enrollments_are_told_apart(world):
    world.sequence("one", TWO, head="react: {replied: pause}\n")
    world.leads(4)
    world.tick()
    world.now += timedelta(minutes=10)
    world.event("replied", send_id=1)
    world.event("bounced", send_id=2)
    world.tick()
    assert read_status(world.settings).enrollments["one"] == {"active": 2, "exited": 1, "paused": 1}
    assert read_status(world.settings).waiting == 2
    world.tick(hours=1)
    status = read_status(world.settings)
    assert status.enrollments["one"] == {"completed": 2, "exited": 1, "paused": 1}
    assert (status.waiting, status.next_due_at) == (0, None)


def test_the_next_due_moment_rejected_records_and_stop_are_told(world):
    world.sequence("one", TWO)
    world.leads(1)
    world.tick()
    world.land(leads=[{"first_name": "Nobody"}])
    world.tick(seconds=1)
    (world.home / "STOP").touch()
    status = read_status(world.settings)
    assert status.rejected == 1
    assert status.next_due_at == world.now - timedelta(seconds=1) + timedelta(hours=1)
    assert status.is_stopped
    assert status.as_dict()["outcomes"]["sent"] == 1
