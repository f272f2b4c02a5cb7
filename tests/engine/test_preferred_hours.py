"""Preferred hours: one block of the day is drawn, inside the windows, once, and its row says so."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.analysis.refresh import refresh
from pipeline.engine.preferred_hours import open_blocks
from pipeline.sequences.calendars import Calendar, open_windows
from pipeline.sequences.compile import load_workspace

MAIL = "  - {id: a, channel: email, subject: Hi, body: templates/hello.md%s}\n"
OFFICE = 'calendar: {hours: "09:00-17:00", preferred_hours: true}\n'
# Monday 10:00 in New York: the blocks 08:00, 12:00 and 16:00 are open. The afternoon is best.
NOON = datetime(2026, 1, 5, 17, tzinfo=UTC)
EVENING = datetime(2026, 1, 5, 21, tzinfo=UTC)
AFTERNOON_IS_BEST = {
    (day, block): 0.2 if block == 3 else 0.1 for day in range(7) for block in range(6)
}


def draws(world):
    return world.rows(
        "select slot_at, block, round(propensity, 9), count(*) from hour_draws group by all order by 1"
    )


def test_most_wait_for_the_best_block_and_the_others_are_tried(world):
    world.sequence("one", MAIL % "", calendar=OFFICE)
    world.publish_hours(AFTERNOON_IS_BEST)
    world.leads(200)
    world.tick()
    (morning, noon, evening) = draws(world)
    assert [row[:3] for row in (morning, noon, evening)] == [
        (world.now, 2, 0.05),
        (NOON, 3, 0.9),
        (EVENING, 4, 0.05),
    ]
    assert binomtest(noon[3], 200, 0.9).pvalue > 0.001
    assert len(world.mail()) == morning[3]
    assert world.rows(
        "select reason, until_at, count(*) from why where outcome = 'postponed' group by all order by 2"
    ) == [("preferred_hours", NOON, noon[3]), ("preferred_hours", EVENING, evening[3])]
    # Nobody is drawn for again, and nobody is late: the slot has moved.
    world.tick(hours=2)
    assert len(world.mail()) == morning[3] + noon[3]
    world.tick(hours=4)
    assert len(world.mail()) == 200
    assert sum(row[3] for row in draws(world)) == 200
    assert {row[0] for row in world.rows("select slot_at from sends")} == {
        world.now - timedelta(hours=6),
        NOON,
        EVENING,
    }


def test_the_same_leads_wait_for_the_same_block_however_they_come(world):
    world.sequence("one", MAIL % "", calendar=OFFICE)
    world.publish_hours(AFTERNOON_IS_BEST)
    found = []
    for _ in range(2):
        world.leads(40)
        world.tick()
        found.append(world.rows("select enrollment_id, block from hour_draws order by all"))
    assert found[0] == found[1]
    assert len(found[0]) == 40


@pytest.mark.parametrize(
    ("calendar", "scores"),
    [
        pytest.param(OFFICE, {}, id="nothing published"),
        pytest.param(OFFICE, {(0, 2): 0.1, (0, 3): 0.2}, id="a block without a score"),
        pytest.param(OFFICE.replace("true", "false"), AFTERNOON_IS_BEST, id="not asked for"),
        pytest.param(OFFICE.replace("17:00", "12:00"), AFTERNOON_IS_BEST, id="one block is open"),
    ],
)
def test_without_a_preference_a_message_goes_at_once(world, calendar, scores):
    world.sequence("one", MAIL % "", calendar=calendar)
    world.publish_hours(scores)
    world.leads(20)
    world.tick()
    assert len(world.mail()) == 20
    assert draws(world) == []


def test_a_condition_is_asked_when_the_message_would_go(world):
    world.sequence("one", MAIL % ", when: \"lead.plan = 'pro'\"", calendar=OFFICE)
    world.publish_hours(AFTERNOON_IS_BEST)
    world.leads(30)
    world.tick()
    count_now = sum(row[3] for row in draws(world) if row[1] == 2)
    assert world.rows("select count(*) from why where outcome = 'skipped'") == [(count_now,)]
    world.leads(30, attributes={"plan": "pro"})
    world.tick(hours=2)
    world.tick(hours=4)
    assert len(world.mail()) == 30 - count_now


def test_an_arm_is_drawn_for_who_goes_and_not_for_who_waits(world):
    test = """
    experiment:
      id: words
      control: x
      metric: replied
      window: 3d
      variants:
        - {id: x}
        - {id: y, subject: Other}
"""
    step = "  - id: a\n    channel: email\n    subject: Hi\n    body: templates/hello.md" + test
    world.sequence("one", step, calendar=OFFICE)
    world.publish_hours(AFTERNOON_IS_BEST)
    world.leads(40)
    world.tick()
    assert world.rows("select count(*) from assignments") == [(len(world.mail()),)]
    world.tick(hours=2)
    world.tick(hours=4)
    assert (
        world.rows(
            "select count(*), min(assigned_at) from assignments where assigned_at >= "
            f"'{NOON.isoformat()}'"
        )[0][0]
        > 0
    )
    assert world.rows("select count(*) from assignments") == [(40,)]


def test_hours_on_trial_and_work_for_somebody_have_no_preference(world):
    steps = """  - id: a
    channel: email
    subject: Hi
    body: templates/hello.md
    experiment:
      id: when
      control: x
      metric: replied
      window: 3d
      variants:
        - {id: x}
        - {id: y, hours: "08:00-20:00"}
"""
    world.sequence("one", steps, calendar=OFFICE)
    world.publish_hours(AFTERNOON_IS_BEST)
    world.leads(20)
    world.tick()
    assert len(world.mail()) == 20
    assert draws(world) == []


def test_who_waits_since_another_day_waits_no_longer(world):
    late = ", late: {after: 72h, then: skip}"
    world.sequence("one", MAIL % late, calendar=OFFICE)
    world.publish_hours(AFTERNOON_IS_BEST)
    world.leads(20)
    (world.home / "STOP").touch()
    world.tick()
    (world.home / "STOP").unlink()
    world.sequence("one", MAIL % late, "limits: {per_day: 5}\n", calendar=OFFICE)
    world.tick_until(world.now + timedelta(days=6))
    days = world.rows("select local_on, count(*) from sends group by all order by all")
    assert sum(count for _, count in days) == 20
    assert max(count for _, count in days) == 5
    # What a limit moved to another day goes there as soon as it may.
    later = world.rows("select count(*) from hour_draws where local_on > '2026-01-05'")
    assert later == [(0,)]


def test_refreshes_score_the_hours_and_the_next_messages_follow_them(world):
    world.sequence("one", MAIL % "", calendar=OFFICE)
    # Six hundred messages at ten and as many at one; who is written to at one, replies.
    for number, hours in ((0, 0), (1, 3)):
        world.tick(hours=hours)
        names = [f"n{number}x{i}@example.com" for i in range(600)]
        world.land(leads=[{"email": name, "source": "ONE"} for name in names])
        world.tick()
    late = world.rows(
        "select s.send_id from sends as s inner join identities as i using (lead_id) "
        "where i.email like 'n1x%' order by all limit 200"
    )
    for (send_id,) in late:
        world.event("replied", send_id=send_id)
    world.tick(hours=1)
    assert world.rows("select count(*) from hour_draws") == [(0,)]
    world.tick(days=14, hours=-4)  # The Monday after next, 10:00
    workspace = load_workspace(world.folder)
    refresh(world.home, world.settings, world.now, workspace=workspace)
    world.leads(60)
    world.tick()
    assert world.rows("select count(*), count(distinct scored_at) from hour_draws") == [(60, 1)]
    assert sum(row[3] for row in draws(world) if row[1] == 3) > 40


@given(
    st.sampled_from(
        ["America/New_York", "Asia/Kolkata", "Pacific/Auckland", "Australia/Lord_Howe"]
    ),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 30)),  # noqa: DTZ001
    st.sampled_from([((540, 1020),), ((1320, 1560),), ((60, 70), (600, 1500))]),
)
def test_every_slot_is_open_now_or_later_and_on_the_same_day(zone, moment, windows):
    now = moment.replace(tzinfo=UTC)
    calendar = Calendar(days=tuple(range(7)), windows=windows)
    spans = open_windows(calendar, zone, now - timedelta(days=2), now + timedelta(days=2))
    day_starts_at, slots = open_blocks(zone, spans, now)
    assert day_starts_at <= now
    for block, slot in slots.items():
        assert slot >= now
        assert any(open_at <= slot < close_at for open_at, close_at in spans)
        assert slot - day_starts_at < timedelta(hours=25)
        assert 0 <= block <= 5
    assert list(slots.values()) == sorted(slots.values())
    if any(open_at <= now < close_at for open_at, close_at in spans):
        assert min(slots.values()) == now
