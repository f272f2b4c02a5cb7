"""Resuming: due times move by the length of the pause, once."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.pauses import Target, pause, resume, resume_enrollment
from pipeline.inbound.landing import append_lines, format_instant
from pipeline.ledger.locks import hold_lock
from pipeline.settings import DripError
from tests.examples import examples

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
    world.event("replied", send_id=world.first_send(1))
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
    paused.event("replied", send_id=paused.first_send(1))
    paused.tick()
    paused.now += timedelta(hours=7)
    assert resume_enrollment(paused.settings, 1, paused.now) == due + timedelta(hours=7)


# Sequences, files, everything ---------------------------------------------------------------------


@pytest.fixture
def running(world):
    """Two sequences with one lead each; the second mail is due three hours after the first."""
    world.sequence("one", STEPS)
    world.sequence("two", STEPS)
    world.leads(1)
    world.land(leads=[{"email": "v@example.com", "source": "TWO"}])
    world.tick()
    return world


def due(world, sequence):
    return world.rows(
        "select v.due_at from live as v inner join enrollments as e using (enrollment_id) "
        f"where e.sequence_id = '{sequence}'"
    )[0][0]


def test_a_paused_sequence_contacts_nobody_takes_nobody_in_and_leaves_others_alone(running):
    pause(running.settings, Target("sequence", "one"), running.now, "holidays")
    running.land(leads=[{"email": "w@example.com", "source": "ONE"}])
    running.tick(hours=5)
    assert len(running.mail()) == 3  # two first mails, and the second one of sequence two
    assert running.rows("select count(*) from enrollments") == [(2,)]
    resume(running.settings, Target("sequence", "one"), running.now)
    running.tick()
    assert running.rows("select count(*) from enrollments") == [(3,)]
    assert len(running.mail()) == 4  # the new lead's first; the other waits three hours more
    running.tick(hours=3)
    assert len(running.mail()) == 6


def test_a_file_that_says_paused_is_a_pause_from_tick_to_tick(running):
    before = due(running, "one")
    path = running.folder / "one.yml"
    text = path.read_text()
    path.write_text(text.replace("status: active", "status: paused"))
    running.tick(hours=1)
    assert running.rows("select scope, name, paused_by, reason, resumed_at from pauses") == [
        ("sequence", "one", "file", "file", None)
    ]
    running.tick(hours=2)
    running.tick(days=3)
    assert len(running.mail()) == 3
    path.write_text(text)
    running.tick(hours=1)
    moved = timedelta(days=3, hours=3)
    assert due(running, "one") == before + moved
    assert running.rows("select resumed_at - paused_at from pauses") == [(moved,)]


def test_a_draft_with_leads_in_it_stands_still(running):
    path = running.folder / "one.yml"
    path.write_text(path.read_text().replace("status: active", "status: draft"))
    running.tick(days=1)
    assert len(running.mail()) == 3
    assert running.rows("select name, paused_by from pauses") == [("one", "file")]


def test_the_stop_file_withdraws_claims_and_nothing_is_late_afterwards(running):
    with hold_lock(running.home / "dispatch.lock"):
        running.tick(hours=3)
    assert running.rows("select distinct status from live") == [("in_flight",)]
    (running.home / "STOP").touch()
    report = running.tick(seconds=1)
    assert (report.is_stopped, report.next_at) == (True, None)
    assert running.rows("select distinct status from live") == [("waiting",)]
    running.tick(days=4)
    assert len(running.mail()) == 2
    told = resume(running.settings, Target("everything"), running.now)
    assert told.still_paused_by == ()
    assert not (running.home / "STOP").exists()
    running.tick()
    assert len(running.mail()) == 4
    assert running.rows("select count(*) from why_outcomes where reason = 'late'") == [(0,)]


def test_a_retry_waits_through_a_pause_too(running):
    with hold_lock(running.home / "dispatch.lock"):
        running.tick(hours=3)
    (send_id,) = running.rows(
        "select v.send_id from live as v inner join enrollments as e using (enrollment_id) "
        "where e.sequence_id = 'one'"
    )[0]
    at = format_instant(running.now)
    answer = {"end": send_id, "attempt": 1, "at": at, "status": "retry", "reason": "451 Later"}
    append_lines(running.home, "journal", [answer], running.now)
    pause(running.settings, Target("everything"), running.now)
    running.tick(seconds=1)
    (attempt_at,) = running.rows("select slot_at from live where status = 'retry'")[0]
    running.now += timedelta(days=2)
    resume(running.settings, Target("everything"), running.now)
    assert running.rows("select slot_at from live where status = 'retry'") == [
        (attempt_at + timedelta(days=2, seconds=1),)
    ]


def test_a_pause_told_late_gives_no_time_back_twice(world):
    world.sequence("one", STEPS, head="react: {replied: pause}\n")
    world.leads(1)
    world.tick()
    before = due(world, "one")
    sequence = Target("sequence", "one")
    world.now += timedelta(minutes=10)
    pause(world.settings, sequence, world.now)
    world.now += timedelta(hours=1)
    resume(world.settings, sequence, world.now)
    replied_at = world.now - timedelta(minutes=30)
    world.now += timedelta(minutes=10)
    world.event("replied", send_id=1, occurred_at=format_instant(replied_at))
    world.tick()
    world.now += timedelta(hours=1)
    resume_enrollment(world.settings, 1, world.now)
    # One hour of the sequence, then from its end on: 70 minutes.
    assert due(world, "one") == before + timedelta(hours=1, minutes=70)


def test_a_step_opened_in_the_middle_of_a_pause_moves_by_the_rest_of_it(world):
    world.sequence("one", STEPS)
    world.leads(1)
    with hold_lock(world.home / "dispatch.lock"):
        world.tick()
    pause(world.settings, Target("sequence", "one"), world.now)
    # The first mail had begun to go out; its answer comes an hour into the pause.
    settled = world.now + timedelta(hours=1)
    line = {"end": 1, "attempt": 1, "at": format_instant(settled), "status": "handed_over"}
    append_lines(world.home, "journal", [line], world.now)
    world.tick(hours=2)
    assert due(world, "one") == settled + timedelta(hours=3)
    world.now += timedelta(hours=8)
    resume(world.settings, Target("sequence", "one"), world.now)
    assert due(world, "one") == world.now + timedelta(hours=3)


def test_a_paused_campaign_holds_up_whichever_sequences_are_in_it(running):
    head = "campaign: spring\n"
    running.sequence("one", STEPS, head=head)
    running.sequence("two", STEPS, head=head)
    running.tick()
    assert pause(running.settings, Target("campaign", "spring"), running.now).count == 2
    running.tick(hours=1)
    running.sequence("two", STEPS)  # leaves the campaign, and goes on from here
    running.tick(hours=1)
    running.tick(hours=3)
    assert len(running.mail()) == 3
    told = resume(running.settings, Target("campaign", "spring"), running.now)
    assert (told.count, told.still_paused_by) == (1, ())
    running.tick(hours=2)
    assert len(running.mail()) == 3
    running.tick(hours=1)
    assert len(running.mail()) == 4
    with pytest.raises(DripError, match=r"Campaign 'autumn' is in no file\. Known: spring"):
        pause(running.settings, Target("campaign", "autumn"), running.now)


def test_a_paused_campaign_that_no_file_names_any_more_can_be_resumed(running):
    running.sequence("one", STEPS, head="campaign: spring\n")
    running.tick()
    pause(running.settings, Target("campaign", "spring"), running.now)
    running.sequence("one", STEPS)
    told = resume(running.settings, Target("campaign", "spring"), running.now + timedelta(hours=1))
    assert (told.count, told.still_paused_by) == (0, ())
    assert running.rows("select count(*) from pauses where resumed_at is null") == [(0,)]


@examples(15)
@given(
    st.lists(
        st.tuples(st.sampled_from(["enrollment", "sequence", "everything"]), st.booleans()),
        min_size=2,
        max_size=9,
    )
)
def test_due_times_move_by_the_time_in_which_anything_was_paused(running, orders):
    targets = {"enrollment": "1", "sequence": "one", "everything": None}
    for scope, name in targets.items():  # as an earlier example may have left it
        with suppress(DripError):
            resume(running.settings, Target(scope, name), running.now)
    before, began, held, since = due(running, "one"), running.now, set(), None
    stood_still = timedelta()
    for number, (scope, is_pause) in enumerate([*orders, *((name, False) for name in targets)], 1):
        running.now = began + timedelta(hours=number**2)
        target = Target(scope, targets[scope])
        if is_pause and scope not in held:
            pause(running.settings, target, running.now)
            since = since or running.now
            held.add(scope)
        elif not is_pause and scope in held:
            resume(running.settings, target, running.now)
            held.remove(scope)
            if not held:
                stood_still, since = stood_still + (running.now - since), None
    assert due(running, "one") == before + stood_still
