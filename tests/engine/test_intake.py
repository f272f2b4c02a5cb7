"""`drip ingest`: landing goes in with its reactions, nothing is planned, rejects run again."""

import pytest

from pipeline.engine.intake import take_in
from pipeline.settings import DripError

STEPS = (
    "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
    "  - {id: b, after: 1h, channel: email, subject: Hi, body: templates/hello.md}\n"
)


def test_leads_go_in_and_nobody_is_enrolled(world):
    world.sequence("one", STEPS)
    world.leads(3)
    found = take_in(world.settings, world.now)
    assert found["counts"]["count_leads"] == 3
    assert found["rejected"] == []
    assert world.rows("select count(*) from leads") == [(3,)]
    assert world.rows("select count(*) from enrollments") == [(0,)]
    assert world.tick().counts["handed_over"] == 3


def test_a_second_time_takes_in_nothing(world):
    world.sequence("one", STEPS)
    world.leads(3)
    take_in(world.settings, world.now)
    assert take_in(world.settings, world.now)["counts"] == {}


def test_a_reply_acts_without_a_tick(world):
    world.sequence("one", STEPS)
    world.leads(1)
    world.tick()
    world.event("replied", send_id=1)
    take_in(world.settings, world.now)
    assert world.rows("select status, reason from enrollment_ends") == [("exited", "replied")]


def test_what_was_rejected_is_listed_without_personal_data_and_can_be_run_again(world):
    world.sequence("one", STEPS)
    world.event("replied", email="u0@example.com")  # the lead comes later than its event
    found = take_in(world.settings, world.now)
    (row,) = found["rejected"]
    assert row["source"] == "webhook:webhook"
    assert row["reason"]
    assert "raw" not in row
    assert "u0@example.com" not in str(row)
    world.leads(1)
    take_in(world.settings, world.now)
    again = take_in(world.settings, world.now, retry=True)
    assert again["rejected"] == []
    assert again["counts"]["count_events"] == 1
    assert world.rows("select kind from events") == [("replied",)]


def test_what_fails_again_stays_listed(world):
    world.sequence("one", STEPS)
    world.event("replied", email="nobody@example.com")
    first = take_in(world.settings, world.now)["rejected"]
    assert take_in(world.settings, world.now, retry=True)["rejected"] == first


def test_broken_files_stop_it_before_anything_is_taken_in(world):
    world.sequence("one", STEPS)
    world.leads(2)
    (world.folder / "two.yml").write_text("steps: [")
    with pytest.raises(DripError, match=r"two\.yml"):
        take_in(world.settings, world.now)
    (world.folder / "two.yml").unlink()
    assert take_in(world.settings, world.now)["counts"]["count_leads"] == 2
