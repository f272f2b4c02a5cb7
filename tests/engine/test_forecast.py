"""`drip forecast`: the real engine on a copy; what it says is what the ticks then do."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.forecast import forecast
from pipeline.ledger.store import create_ledger
from pipeline.settings import DripError, create_keys
from tests.conftest import TEST_KEYS
from tests.engine.conftest import World
from tests.examples import examples

NEW_YORK = ZoneInfo("America/New_York")
OFFICE = 'calendar: {timezone: lead, days: [mon, tue, wed, thu, fri], hours: "09:00-17:00"}\n'
STEPS = (
    "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
    "  - {id: b, after: 1d, channel: sms, when: sent('a') and not opened('a'), text: 'Hi. {{ unsubscribe }}'}\n"
    "  - {id: c, after: 26h, channel: email, subject: Yo, body: templates/hello.md}\n"
    "  - {id: d, after: 3d, branch: [{when: clicked('a'), steps: [{id: e, end: inactive}]}]}\n"
    "  - {id: f, after: 2d, channel: email, subject: Bye, body: templates/hello.md}\n"
)
DELAY = (
    "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
    "  - {id: b, after: 6h, channel: email, subject: Hi, body: templates/hello.md, "
    "experiment: {id: pause_1, control: x, metric: replied, window: 7d, decide: {mode: open}, "
    "variants: [{id: x}, {id: y, after: 30h}]}}\n"
)


def sent(world, start):
    """Count what really went out from a moment on, by day, sequence, sender and channel."""
    rows = world.rows(
        f"""
        select o.settled_at, v.sequence_id, s.sender, s.channel
        from send_outcomes as o
        inner join sends as s using (send_id)
        inner join sequence_versions as v using (version_id)
        where o.status = 'handed_over' and o.settled_at >= '{start.isoformat()}'
        """
    )
    return Counter((at.astimezone(NEW_YORK).date(), *rest) for at, *rest in rows)


def foreseen(found):
    return Counter(
        {
            (row["day"], row["sequence_id"], row["sender"], row["channel"]): row["messages"]
            for row in found.messages
        }
    )


def live(world, end, slot):
    """Tick whenever something is due, at most once a slot, as `drip tick --loop` would."""
    while world.now < end:
        due = world.tick().next_at
        if due is None:
            return
        world.now = max(due, world.now + slot)


def every_byte(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_preferred_hours_are_foreseen_as_the_last_refresh_scored_them(world):
    hours = OFFICE.replace("calendar: {", "calendar: {preferred_hours: true, ")
    world.sequence("one", STEPS, calendar=hours)
    world.publish_hours({(day, n): n / 10 for day in range(7) for n in range(6)})
    (world.home / "STOP").touch()
    world.leads(30)
    world.tick()
    (world.home / "STOP").unlink()
    start = world.now
    found = forecast(world.settings, start, days=4, slot=timedelta(minutes=15))
    assert found.limits == []
    live(world, found.to_at, timedelta(minutes=15))
    assert foreseen(found) == sent(world, start)
    assert world.rows("select count(*) > 30 from why where reason = 'preferred_hours'") == [(True,)]


def test_what_is_foreseen_is_what_the_ticks_then_do(world):
    world.sequence("one", STEPS, head="limits: {per_day: 7}\n", calendar=OFFICE)
    world.sequence("two", DELAY)
    world.leads(20, timezone="Europe/Berlin")
    world.leads(20, source="TWO")
    world.tick(hours=3)
    start, mail = world.now + timedelta(hours=1), len(world.mail())
    world.now = start
    found = forecast(world.settings, start, days=12, slot=timedelta(minutes=15))
    live(world, found.to_at, timedelta(minutes=15))
    assert foreseen(found) == sent(world, start)
    assert len(world.mail()) - mail == sum(row["messages"] for row in found.messages) > 60


WORLDS = {
    "per_day": st.sampled_from([None, 2, 5]),
    "hours": st.sampled_from(["00:00-24:00", "09:00-17:00", "22:00-02:00"]),
    "zone": st.sampled_from([None, "Asia/Kolkata", "America/Los_Angeles", "Pacific/Auckland"]),
    "ahead": st.integers(0, 200),
    "holdout": st.sampled_from(["0%", "30%"]),
    "late": st.sampled_from(["", ", late: {after: 20m, then: skip}"]),
}


@examples(3)
@given(**WORLDS)
def test_in_any_world_in_which_nobody_reacts_the_forecast_comes_true(
    tmp_path_factory, per_day, hours, zone, ahead, holdout, late
):
    home = tmp_path_factory.mktemp("home")
    create_keys(home, TEST_KEYS)
    create_ledger(home)
    world = World(home, tmp_path_factory.mktemp("sequences"))
    limits = f"limits: {{per_day: {per_day}}}\n" if per_day else ""
    head = f"{limits}enroll: {{when: \"lead.source = 'ONE'\", holdout: {holdout}}}\n"
    calendar = f'calendar: {{days: [mon, tue, thu, sat], hours: "{hours}"}}\n'
    world.sequence("one", STEPS.replace("subject: Yo", f"subject: Yo{late}"), head, calendar)
    world.leads(8, **({"timezone": zone} if zone else {}))
    world.tick()
    world.event("opened", email="u0@example.com")
    world.event("clicked", email="u1@example.com", url="https://example.com/a")
    world.event("replied", email="u2@example.com")
    world.tick(hours=ahead)
    start = world.now + timedelta(minutes=7)
    world.now = start
    slot = timedelta(minutes=30)
    found = forecast(world.settings, start, days=7, slot=slot)
    live(world, found.to_at, slot)
    assert foreseen(found) == sent(world, start)


def test_a_forecast_changes_no_byte_of_the_home(world):
    world.sequence("one", STEPS)
    world.leads(5)
    world.tick()
    before = every_byte(world.home)
    found = forecast(world.settings, world.now, days=14)
    assert sum(row["messages"] for row in found.messages) == 15
    after = every_byte(world.home)
    # A lock that was held once stays as an empty file.
    assert {path: after[path] for path in before} == before
    assert {path.name for path in after.keys() - before.keys()} <= {"ledger.lock"}


def test_a_limit_tells_on_which_day_it_bites_and_how_many_wait(world):
    world.sequence(
        "one",
        "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n",
        head="limits: {per_day: 4}\n",
    )
    world.leads(10)
    found = forecast(world.settings, world.now, days=5)
    assert found.messages == [], "what has landed is not in the ledger yet"
    world.tick()
    found = forecast(world.settings, world.now + timedelta(minutes=1), days=5)
    monday = date(2026, 1, 5)
    days = [monday + timedelta(days=n) for n in range(5)]
    assert found.days == days
    assert [(row["day"], row["messages"]) for row in found.messages] == [(days[1], 4), (days[2], 2)]
    assert [
        (row["day"], row["outcome"], row["reason"], row["steps"], row["waiting"])
        for row in found.limits
    ] == [(days[1], "postponed", "sequence_cap", 2, 2)]


def test_the_most_messages_of_an_enrollment_are_a_limit_that_skips(world):
    world.sequence("one", STEPS)
    world.leads(3)
    world.tick()
    # Whoever is on the version with four messages is under today's limit all the same (R19).
    world.sequence("one", STEPS.splitlines()[0] + "\n", head="limits: {per_lead: 2}\n")
    found = forecast(world.settings, world.now, days=14)
    assert sum(row["messages"] for row in found.messages) == 3
    assert {(row["reason"], row["outcome"]) for row in found.limits} == {("lead_cap", "skipped")}
    assert sum(row["steps"] for row in found.limits) == 6


def test_what_it_takes_for_granted_is_said(world):
    world.sequence("one", STEPS, head="react: {replied: pause}\n")
    world.leads(2)
    world.tick()
    world.event("replied", email="u0@example.com")
    world.tick(hours=1)
    (world.home / "STOP").touch()
    found = forecast(world.settings, world.now, days=14)
    told = " ".join(found.assumptions)
    assert "Nobody opens" in told
    assert "No lead comes" in told
    assert "1 paused enrollments" in told
    assert "STOP" in told
    assert sum(row["messages"] for row in found.messages) == 3


def test_a_large_ledger_is_rehearsed_by_the_hour(world, monkeypatch):
    world.sequence("one", STEPS)
    world.leads(2)
    world.tick()
    monkeypatch.setattr("pipeline.engine.forecast._LARGE", 2)
    assert "every 60 minutes" in " ".join(forecast(world.settings, world.now, days=1).assumptions)


def test_nothing_is_left_of_a_forecast_that_fails(world):
    world.sequence("one", STEPS)
    world.leads(2)
    world.tick()

    def stop(moment: datetime) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forecast(world.settings, world.now, progress=stop)
    assert not list(world.home.glob("rehearsal-*"))


def test_a_forecast_does_not_begin_before_what_has_happened(world):
    world.sequence("one", STEPS)
    world.leads(1)
    world.tick(days=3)
    with pytest.raises(DripError, match="--now 2026-01-08T15:00:00"):
        forecast(world.settings, world.now - timedelta(hours=1))


@pytest.mark.parametrize("days", [0, -3, 4000])
def test_days_that_make_no_sense_are_refused(world, days):
    with pytest.raises(DripError, match="makes no sense"):
        forecast(world.settings, world.now, days=days)


def test_days_are_those_of_the_workspace_across_a_change_of_clocks(world):
    world.sequence("one", STEPS)
    start = datetime(2026, 3, 7, 4, 30, tzinfo=UTC)
    found = forecast(world.settings, start, days=3)
    assert [str(day) for day in found.days] == ["2026-03-06", "2026-03-07", "2026-03-08"]
    assert found.to_at == datetime(2026, 3, 9, 4, 0, tzinfo=UTC)
    assert Path(world.home / "ledger.duckdb").exists()
