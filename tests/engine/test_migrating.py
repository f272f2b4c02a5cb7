"""Migrating: settled steps stay settled, the open step keeps its anchor, counting moves nobody."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.migrating import migrate
from pipeline.engine.pauses import Target, pause, resume
from pipeline.engine.story import tell_story
from pipeline.settings import DripError
from tests.examples import examples


def step(name, after="0m", subject="Hi", more=""):
    return (
        f"  - {{id: {name}, after: {after}, channel: email, subject: {subject}, "
        f"body: templates/hello.md{more}}}\n"
    )


OLD = step("a") + step("b", "3h") + step("c", "3h")
LIVE = "select * exclude (version_id) from live order by enrollment_id"
CLICKED = {"url": "https://example.com/a", "agent": "Mozilla/5.0 (X11) Firefox/140.0"}


@pytest.fixture
def world_of_two(world):
    """Two leads that have had the first of three mails and wait for the second."""
    world.sequence("one", OLD)
    world.leads(2)
    world.tick()
    world.now += timedelta(hours=1)
    return world


def test_a_dry_run_counts_and_changes_nothing(world_of_two):
    world = world_of_two
    world.sequence("one", step("a") + step("b", "30m") + step("c", "3h"))
    before = world.rows("select * from live order by enrollment_id")
    told = migrate(world.settings, "one", world.now)
    assert (told.count, told.ended, told.busy, told.contacted_today) == (2, {}, 0, 2)
    assert [(row["step_id"], row["due_at"]) for row in told.first] == [("b", world.now)] * 2
    assert not told.is_applied
    assert world.rows("select * from live order by enrollment_id") == before
    assert world.rows("select count(*) from migrations") == [(0,)]


def test_the_open_step_is_due_by_its_new_delay_from_its_own_anchor(world_of_two):
    world = world_of_two
    world.sequence("one", step("a") + step("b", "5h", "New") + step("c", "3h"))
    anchor = world.rows("select min(anchor_at) from live")[0][0]
    assert migrate(world.settings, "one", world.now, is_applied=True).count == 2
    assert world.rows("select distinct due_at, slot_at from live") == [
        (anchor + timedelta(hours=5), anchor + timedelta(hours=5))
    ]
    world.tick(hours=3)
    assert len(world.mail()) == 2
    world.tick(hours=1)
    assert [mail["Subject"] for mail in world.mail()] == ["Hi", "Hi", "New", "New"]
    # Whoever is there already has nothing to move.
    assert migrate(world.settings, "one", world.now, is_applied=True).count == 0


@pytest.mark.parametrize("since", ["previous", "enrollment"])
def test_who_starts_later_starts_then_in_the_new_version_too(world, since):
    delay = f"{{since: {since}, delay: 2h}}"
    world.sequence("one", step("a", delay), head="enroll: {max_leads: 9}\n")
    world.leads(1)
    start = world.now + timedelta(days=3)
    asked = {"kind": "enroll", "enrolled_by": "hand", "sequence": "one"}
    asked |= {"lead": {"email": "u0@example.com"}, "starts_at": start.isoformat()}
    world.land(source="operator", commands=[asked])
    world.tick()
    world.sequence("one", step("a", delay.replace("2h", "5h")), head="enroll: {max_leads: 9}\n")
    assert migrate(world.settings, "one", world.now, is_applied=True).count == 1
    due = start + timedelta(hours=5)
    assert world.rows("select due_at, slot_at from live") == [(due, due)]


def test_what_would_have_been_due_long_ago_goes_out_at_once_and_is_not_late(world):
    world.sequence("one", step("a") + step("b", "20d"))
    world.leads(1)
    world.tick()
    world.now += timedelta(days=10)
    world.sequence("one", step("a") + step("b", "1d"))
    migrate(world.settings, "one", world.now, is_applied=True)
    world.tick()
    assert len(world.mail()) == 2


def test_a_click_on_an_earlier_message_counts_for_its_step_wherever_that_stands_now(world_of_two):
    world = world_of_two
    send_id = world.first_send(1)
    asked = ", when: \"clicked('a') and clicked('a', '*example*') and days_since('a') < 1\""
    steps = step("z") + step("a") + step("b", "3h", "Asked", more=asked) + step("c", "30h")
    world.sequence("one", steps)
    migrate(world.settings, "one", world.now, is_applied=True)
    assert world.rows("select distinct step_ix, sent_mask from live") == [(2, 0b10)]
    world.event("clicked", send_id=send_id, **CLICKED)
    world.tick(hours=1)
    world.tick(hours=2)
    assert [mail["Subject"] for mail in world.mail()] == ["Hi", "Hi", "Asked"]
    outcomes = "select enrollment_id, outcome from why_outcomes where step_ix = 2 order by all"
    assert world.rows(outcomes) == [(1, "sent"), (2, "skipped")]


def test_a_vanished_open_step_is_mapped_or_ended_or_refused(world_of_two):
    world = world_of_two
    world.sequence("one", step("a") + step("bb", "3h", "New") + step("c", "3h"))
    with pytest.raises(DripError, match="2 wait for b, which the new version does not have"):
        migrate(world.settings, "one", world.now)
    told = migrate(world.settings, "one", world.now, ends_others=True)
    assert (told.count, told.ended) == (0, {"b": 2})
    told = migrate(world.settings, "one", world.now, renamed={"b": "bb"}, is_applied=True)
    assert (told.count, told.ended) == (2, {})
    world.tick(hours=2)
    assert [mail["Subject"] for mail in world.mail()][2:] == ["New", "New"]
    assert ("migrated", "one/b as bb") in {
        (row["what"], row["detail"]) for row in tell_story(world.settings, "u0@example.com")
    }


def test_exit_ends_those_whose_step_is_gone(world_of_two):
    world = world_of_two
    world.sequence("one", step("a") + step("c", "3h"))
    told = migrate(world.settings, "one", world.now, ends_others=True, is_applied=True)
    assert told.ended == {"b": 2}
    assert world.rows("select distinct status, reason from enrollment_ends") == [
        ("exited", "migrated")
    ]
    assert world.rows("select count(*) from live") == [(0,)]


def test_nobody_gets_again_what_is_settled(world_of_two):
    world = world_of_two
    world.sequence("one", step("b") + step("a", "3h") + step("c", "3h"))
    with pytest.raises(DripError, match="2 wait for b, and would get after it what they have had"):
        migrate(world.settings, "one", world.now)


def test_an_older_version_can_be_gone_back_to(world_of_two):
    world = world_of_two
    (old,) = world.rows("select version from sequence_versions")[0]
    world.sequence("one", step("a") + step("b", "30h") + step("c", "3h"))
    before = world.rows(LIVE)
    migrate(world.settings, "one", world.now, is_applied=True)
    assert world.rows(LIVE) != before
    world.tick()
    migrate(world.settings, "one", world.now, to=old[:8], is_applied=True)
    assert world.rows(LIVE) == before
    with pytest.raises(DripError, match="No version of one begins with 'nope'"):
        migrate(world.settings, "one", world.now, to="nope")
    with pytest.raises(DripError, match="No sequence 'two' has run yet"):
        migrate(world.settings, "two", world.now)


@pytest.mark.parametrize(
    ("renamed", "words"),
    [({"x": "a"}, "No version has a step 'x'"), ({"a": "x"}, "The new version has no step 'x'")],
)
def test_a_map_names_steps_that_are_there(world_of_two, renamed, words):
    world_of_two.sequence("one", OLD.replace("Hi", "Ho"))
    with pytest.raises(DripError, match=words):
        migrate(world_of_two.settings, "one", world_of_two.now, renamed=renamed)


@pytest.fixture
def patient(world):
    """Two leads whose second mail is due in two hundred days."""
    world.sequence("one", step("a") + step("b", "200d"))
    world.leads(2)
    world.tick()
    return world


@examples(10)
@given(
    st.lists(
        st.tuples(st.sampled_from(["enrollment", "sequence", "everything"]), st.booleans()),
        min_size=1,
        max_size=7,
    )
)
def test_whatever_was_or_is_paused_a_typo_changes_no_due_time(patient, orders):
    targets = {"enrollment": "1", "sequence": "one", "everything": None}
    for scope, is_pause in orders:
        patient.now += timedelta(minutes=17)
        with suppress(DripError):  # paused already, or not paused
            (pause if is_pause else resume)(
                patient.settings, Target(scope, targets[scope]), patient.now
            )
    before = patient.rows(LIVE)
    subject = f"Hi{len(patient.rows('select * from sequence_versions'))}"
    patient.sequence("one", step("a") + step("b", "200d", subject))
    assert migrate(patient.settings, "one", patient.now, is_applied=True).count == 2
    assert patient.rows(LIVE) == before


HOURS = 'calendar: {hours: "09:00-17:00", preferred_hours: true}\n'
DRAWS = "select enrollment_id, version_id, slot_at from hour_draws order by all"


def publish_best(world, best):
    world.publish_hours({(day, n): float(n == best) for day in range(7) for n in range(6)})


def test_the_hour_that_was_drawn_holds_after_a_migration_while_the_due_time_does(world):
    world.sequence("one", step("a", subject="Old"), calendar=HOURS)
    publish_best(world, 3)
    world.leads(20)
    world.tick()
    count = 20 - len(world.mail())
    assert count > 10
    slots = {enrollment_id: at for enrollment_id, _, at in world.rows(DRAWS)}
    # The open step gets another number, and by the next scores nearly all would wait longer.
    world.sequence("one", step("z") + step("a", subject="New"), calendar=HOURS)
    assert migrate(world.settings, "one", world.now, is_applied=True).count == count
    publish_best(world, 4)
    world.tick(hours=2)
    world.tick(hours=4)
    assert [mail["Subject"] for mail in world.mail()].count("New") == count
    assert dict(world.rows("select enrollment_id, slot_at from sends")) == slots
    assert len(world.rows(DRAWS)) == 20 + count


def test_for_another_due_time_hours_are_drawn_anew(world):
    drawn = "select version_id, drawn_at, count(*) from hour_draws group by all order by all"
    world.sequence("one", step("a"), calendar=HOURS)
    publish_best(world, 4)
    world.leads(20)
    world.tick()
    first = world.now
    ((old, version_id),) = world.rows("select version, version_id from sequence_versions")
    count = 20 - len(world.mail())
    assert world.rows(drawn) == [(version_id, first, 20)]
    world.sequence("one", step("a", "1d"), calendar=HOURS)
    assert migrate(world.settings, "one", world.now, is_applied=True).count == count
    # Back before it is due: what was drawn first is over, and what counts is drawn now.
    world.now += timedelta(hours=1)
    assert migrate(world.settings, "one", world.now, to=old[:8], is_applied=True).count == count
    gone = [] if count == 20 else [(version_id, first, 20 - count)]
    assert world.rows(drawn) == gone
    world.tick()
    assert world.rows(drawn) == [*gone, (version_id, world.now, count)]
    world.tick(hours=1)
    world.tick(hours=4)
    assert len(world.mail()) == 20
