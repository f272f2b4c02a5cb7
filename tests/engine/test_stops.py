"""Ending for good: by an operator, by an archived file; and who is left in a file that is gone."""

import pytest

from pipeline.engine.pauses import Target, resume
from pipeline.engine.stops import count_left_behind, stop
from pipeline.ledger.locks import hold_lock
from pipeline.sequences.archive import archive_file
from pipeline.settings import DripError

STEPS = (
    "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
    "  - {id: b, after: 3h, channel: email, subject: Hi, body: templates/hello.md}\n"
)
ENDS = "select enrollment_id, status, reason from enrollment_ends order by all"


@pytest.fixture
def running(world):
    """Two sequences with two leads and one; the second mail is due three hours after the first."""
    world.sequence("one", STEPS)
    world.sequence("two", STEPS)
    world.leads(2)
    world.tick()
    world.land(leads=[{"email": "v@example.com", "source": "TWO"}])
    world.tick()
    return world


def test_one_enrollment_is_stopped_and_the_others_go_on(running):
    assert stop(running.settings, Target("enrollment", "1"), running.now).count == 1
    running.tick(hours=3)
    assert len(running.mail()) == 5
    assert running.rows(ENDS)[0] == (1, "exited", "stopped")
    with pytest.raises(DripError, match="Enrollment 1 is not running"):
        stop(running.settings, Target("enrollment", "1"), running.now)


def test_a_stopped_sequence_ends_all_and_takes_nobody_in_until_it_is_resumed(running):
    assert stop(running.settings, Target("sequence", "one"), running.now).count == 2
    running.land(leads=[{"email": "w@example.com", "source": "ONE"}])
    running.tick(hours=3)
    assert running.rows(ENDS) == [
        (1, "exited", "stopped"), (2, "exited", "stopped"), (3, "completed", None),
    ]  # fmt: skip
    assert len(running.mail()) == 4
    resume(running.settings, Target("sequence", "one"), running.now)
    running.tick()
    assert len(running.mail()) == 5


def test_stopping_everything_needs_no_ledger_and_ends_nobody(running):
    with hold_lock(running.home / "ledger.lock"):  # somebody hangs
        stop(running.settings, Target("everything"), running.now)
    assert (running.home / "STOP").exists()
    running.tick(hours=3)
    assert len(running.mail()) == 3
    assert running.rows(ENDS) == []
    with pytest.raises(DripError, match=r"there already\. `drip resume everything`"):
        stop(running.settings, Target("everything"), running.now)


def test_an_archived_file_ends_whoever_is_in_it_claims_included(running):
    with hold_lock(running.home / "dispatch.lock"):
        running.tick(hours=3)
        archive_file(running.folder, "one", drain=False)
        assert running.tick(seconds=1).counts["ended"] == 2
    running.tick(seconds=1)
    assert [row for row in running.rows(ENDS) if row[2]] == [
        (1, "exited", "archived"), (2, "exited", "archived"),
    ]  # fmt: skip
    assert len(running.mail()) == 4  # only that of the other sequence
    assert running.rows("select count(*) from live") == [(0,)]


def test_a_drained_file_lets_them_finish_and_takes_nobody_in(running):
    archive_file(running.folder, "one", drain=True)
    running.land(leads=[{"email": "w@example.com", "source": "ONE"}])
    running.tick(hours=3)
    assert running.rows("select distinct status from enrollment_ends") == [("completed",)]
    assert len(running.mail()) == 6
    assert running.rows("select count(*) from enrollments") == [(3,)]


def test_whoever_is_left_in_a_file_that_is_gone_is_counted_and_finishes(running):
    assert count_left_behind(running.settings, ["one", "two"]) == {}
    (running.folder / "one.yml").unlink()
    assert count_left_behind(running.settings, ["two"]) == {"one": 2}
    running.tick(hours=3)
    assert count_left_behind(running.settings, ["two"]) == {}
    assert len(running.mail()) == 6


def test_a_stopped_campaign_ends_all_of_its_sequences(running):
    running.sequence("one", STEPS, head="campaign: spring\n")
    running.sequence("two", STEPS, head="campaign: spring\n")
    running.tick()
    assert stop(running.settings, Target("campaign", "spring"), running.now).count == 3
    running.land(leads=[{"email": "w@example.com", "source": "ONE"}])
    running.tick(hours=3)
    assert running.rows("select count(*), min(reason) from enrollment_ends") == [(3, "stopped")]
    assert len(running.mail()) == 3
