"""Limits, pass by pass: who finds no place waits for the moment at which one frees, and uses up none."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.limits import Clock, warm_up_cap
from pipeline.engine.pauses import resume_enrollment
from pipeline.inbound.landing import append_lines, format_instant
from pipeline.ledger.locks import hold_lock
from pipeline.sequences.model import WarmUp
from tests.engine.conftest import WORKSPACE

MAIL = "  - {id: %s, channel: email, subject: Hi, body: templates/hello.md%s}\n"
NEW_YORK = ZoneInfo("America/New_York")


def step(name, rest=""):
    return MAIL % (name, f", {rest}" if rest else "")


def limit(world, limits="", sender=""):
    """Write workspace.yml with limits of its own and of the mail sender."""
    text = WORKSPACE.replace('ann@example.com>"}\n', f'ann@example.com>", {sender}}}\n', 1)
    (world.folder / "workspace.yml").write_text(text + (f"limits: {limits}\n" if limits else ""))


def postponed(world):
    return world.rows(
        "select reason, until_at, count(*) from why where outcome = 'postponed' "
        "group by all order by all"
    )


def claims(world):
    return world.rows(
        "select v.sequence_id, s.claimed_at from sends as s "
        "inner join sequence_versions as v using (version_id) order by s.claimed_at, s.send_id"
    )


# The lead ---------------------------------------------------------------------------------------


def test_two_sequences_that_want_a_lead_at_once_do_not_both_get_it(world):
    limit(world, "{lead_per_day: 1}")
    rule = "enroll: {when: \"lead.source = 'ONE'\"}\n"
    world.sequence("one", step("a"), head=rule)
    world.sequence("two", step("b"), head=rule)
    world.leads(3)
    report = world.tick()
    assert report.counts == report.counts | {"claimed": 3, "postponed": 3}
    tomorrow = datetime(2026, 1, 6, 5, 0, tzinfo=UTC)
    assert postponed(world) == [("lead_day_cap", tomorrow, 3)]
    assert report.next_at == tomorrow
    world.tick_until(tomorrow)
    assert [name for name, _ in claims(world)] == ["one"] * 3 + ["two"] * 3


def test_a_leads_week_is_its_last_seven_dates(world):
    limit(world, "{lead_per_week: 2}")
    world.sequence("one", "".join(step(f"s{i}", "after: 1d" if i else "") for i in range(4)))
    world.leads(1, timezone="Asia/Tokyo")
    world.tick_until(world.now + timedelta(days=12))
    days = [day for (day,) in world.rows("select local_on from sends order by send_id")]
    # Tuesday 00:00 in Tokyo is the first.
    assert days == [date(2026, 1, day) for day in (6, 7, 13, 14)]
    assert {row[0] for row in postponed(world)} == {"lead_week_cap"}


def test_the_gap_is_elapsed_time_since_the_last_contact_in_any_sequence(world):
    limit(world, "{contact_gap: 12h}")
    rule = "enroll: {when: \"lead.source = 'ONE'\"}\n"
    world.sequence("one", step("a") + step("b", "after: 1h"), head=rule)
    world.sequence("two", step("c", "after: 13h"), head=rule)
    world.leads(1)
    start = world.now
    world.tick_until(start + timedelta(days=3))
    # b waits for its 12 h; c, due at 13 h, waits for 12 h after b.
    assert [(name, (at - start) / timedelta(hours=1)) for name, at in claims(world)] == [
        ("one", 0), ("one", 12), ("two", 24),
    ]  # fmt: skip
    assert {row[0] for row in postponed(world)} == {"contact_gap"}


def test_what_a_sequence_says_of_leads_stands_in_place_of_the_workspaces(world):
    limit(world, "{lead_per_day: 1}")
    world.sequence(
        "one", step("a") + step("b", "after: 1h"), head="limits: {lead_per_day: 2, per_lead: 5}\n"
    )
    world.leads(1)
    world.tick()
    assert world.tick(hours=1).counts["handed_over"] == 1


def test_a_postponed_step_is_never_late(world):
    limit(world, "{contact_gap: 30d}")
    world.sequence("one", step("a") + step("b", "after: 1h"))
    world.leads(1)
    world.tick_until(world.now + timedelta(days=31))
    assert len(world.mail()) == 2
    late = world.rows("select max(claimed_at - slot_at) from sends")
    assert late == [(timedelta(0),)]


def test_a_sequence_whose_file_is_gone_keeps_to_the_limits_of_the_workspace(world):
    limit(world, "{lead_per_day: 1}")
    world.sequence("one", step("a") + step("b", "after: 1h"))
    world.leads(1)
    world.tick()
    (world.folder / "one.yml").unlink()
    world.tick(hours=1)
    assert [row[0] for row in postponed(world)] == ["lead_day_cap"]


# Sequence, domain, sender -----------------------------------------------------------------------


def test_an_hourly_limit_frees_at_the_next_full_hour(world):
    world.sequence("one", step("a"), head="limits: {per_hour: 2}\n")
    world.now += timedelta(minutes=20)
    world.leads(5)
    world.tick()
    hour = datetime(2026, 1, 5, 16, 0, tzinfo=UTC)
    assert postponed(world) == [("sequence_hour_cap", hour, 3)]
    world.tick_until(hour + timedelta(hours=3))
    assert [at.hour for _, at in claims(world)] == [15, 15, 16, 16, 17]


def test_a_domain_has_its_own_cap_and_the_star_is_each_other_domain(world):
    limit(world, '{domain_per_day: {"*": 2, "big.example": 3}}')
    world.sequence("one", step("a") + '  - {id: t, channel: sms, text: "Hi"}\n')
    world.land(
        leads=[
            {"email": f"{i}@{domain}", "phone": f"+1555010{n}{i:03}", "source": "ONE"}
            for n, domain in enumerate(["big.example", "b.example", "C.example"])
            for i in range(4)
        ]
    )
    world.tick()
    rows = world.rows("select channel, recipient_domain, count(*) from sends group by all")
    mails = [("email", "b.example", 2), ("email", "big.example", 3), ("email", "c.example", 2)]
    assert sorted(rows, key=str) == [*mails, ("sms", None, 7)]


def test_a_step_that_one_limit_postpones_uses_up_no_other(world):
    # Two thirds of the sequence go to the full domain, first in the queue; the sender has two places.
    limit(world, '{domain_per_day: {"full.example": 1}}', sender="limits: {per_day: 2}")
    world.sequence("one", step("a"))
    world.land(leads=[{"email": f"{i}@full.example", "source": "ONE"} for i in range(4)])
    world.tick()
    world.land(leads=[{"email": f"{i}@free.example", "source": "ONE"} for i in range(3)])
    world.tick()
    rows = world.rows("select recipient_domain, count(*) from sends group by all order by all")
    assert rows == [("free.example", 1), ("full.example", 1)]
    assert [(reason, count) for reason, _, count in postponed(world)] == [
        ("domain_cap", 3), ("sender_cap", 2),
    ]  # fmt: skip


def test_follow_ups_go_before_first_touches(world):
    limit(world, sender="limits: {per_day: 2}")
    world.sequence("one", step("a") + step("b", "after: 1d"))
    world.leads(2)
    world.tick()
    world.land(leads=[{"email": f"v{i}@example.com", "source": "ONE"} for i in range(2)])
    world.tick(hours=1)  # no place today; due before the follow-ups
    world.tick(hours=23)
    rows = world.rows(
        "select p.step_id from sends as s inner join steps as p using (version_id, step_ix) "
        "order by send_id"
    )
    assert [name for (name,) in rows] == ["a", "a", "b", "b"]


def test_a_new_sender_warms_up_from_its_first_day(world):
    limit(world, sender="limits: {per_day: 5, warm_up: {start: 1, growth: 2}}")
    world.sequence("one", step("a"))
    world.leads(14)
    world.tick_until(world.now + timedelta(days=6))
    days = world.rows("select count(*) from sends group by local_on order by local_on")
    assert [count for (count,) in days] == [1, 2, 4, 5, 2]


@given(
    start=st.integers(1, 50),
    percent=st.integers(100, 1000),
    per_day=st.integers(1, 10**6),
    day=st.integers(-5, 4000),
)
def test_a_warm_up_never_shrinks_and_ends_at_the_cap(start, percent, per_day, day):
    ramp = WarmUp(start=start, growth=percent / 100)
    cap = warm_up_cap(ramp, per_day, day)
    assert min(start, per_day) <= cap <= warm_up_cap(ramp, per_day, day + 1) <= per_day


# Exact ------------------------------------------------------------------------------------------


def test_a_second_tick_counts_what_the_first_has_claimed(world):
    limit(world, sender="limits: {per_day: 3}")
    world.sequence("one", step("a"))
    with hold_lock(world.home / "dispatch.lock"):
        world.leads(2)
        world.tick()
        world.land(leads=[{"email": f"v{i}@example.com", "source": "ONE"} for i in range(4)])
        world.tick()
    assert len(claims(world)) == 3
    assert len(world.mail()) == 0
    world.tick()
    assert len(world.mail()) == 3


def test_a_claim_that_is_taken_back_gives_its_place_back(world):
    limit(world, "{lead_per_week: 9}", sender="limits: {per_day: 2}")
    world.sequence("one", step("a"))
    with hold_lock(world.home / "dispatch.lock"):
        world.leads(2)
        world.tick()
        world.event("unsubscribed", email="u0@example.com")
    world.tick()
    world.land(leads=[{"email": f"v{i}@example.com", "source": "ONE"} for i in range(2)])
    world.tick()
    sent = world.rows("select count(*) from send_status where status = 'handed_over'")
    assert sent == [(2,)]
    assert [(reason, count) for reason, _, count in postponed(world)] == [("sender_cap", 1)]


def test_a_claim_that_a_pause_took_back_takes_a_place_of_the_day_on_which_it_is_claimed_anew(world):
    limit(world, sender="limits: {per_day: 1}")
    world.sequence("one", step("a", "late: {after: 30d}"), head="react: {replied: pause}\n")
    with hold_lock(world.home / "dispatch.lock"):
        world.leads(1)
        world.tick()
        world.event("replied", email="u0@example.com")
    world.tick()
    world.now += timedelta(days=1)
    resume_enrollment(world.settings, 1, world.now)
    world.land(leads=[{"email": "v@example.com", "source": "ONE"}])
    world.tick(days=1)
    assert world.rows("select claimed_at::date, attempt from reclaims") == [(date(2026, 1, 7), 2)]
    assert [(reason, count) for reason, _, count in postponed(world)] == [("sender_cap", 1)]
    assert len(world.mail()) == 1
    assert world.rows("select count_sends from live") == [(0,)]  # v; u0 is through


def test_a_message_that_may_have_gone_out_keeps_its_place(world):
    limit(world, sender="limits: {per_day: 1}")
    world.sequence("one", step("a"))
    with hold_lock(world.home / "dispatch.lock"):
        world.leads(1)
        world.tick()
    begin = {"begin": 1, "attempt": 1, "at": format_instant(world.now)}
    append_lines(world.home, "journal", [begin], world.now)
    world.land(leads=[{"email": "v@example.com", "source": "ONE"}])
    world.tick()
    assert world.rows("select status from send_status") == [("unknown",)]
    assert [(reason, count) for reason, _, count in postponed(world)] == [("sender_cap", 1)]


@pytest.mark.parametrize("day", [8, 1], ids=["23 hours", "25 hours"])
def test_a_day_of_the_clock_change_has_one_days_places(world, day):
    month = 3 if day == 8 else 11
    midnight = datetime(2026, month, day, tzinfo=NEW_YORK).astimezone(UTC)
    following = datetime(2026, month, day + 1, tzinfo=NEW_YORK).astimezone(UTC)
    world.sequence("one", step("a"), head="limits: {per_day: 2}\n")
    world.now = midnight
    world.leads(5)
    world.tick_until(following + timedelta(hours=1))
    assert following - midnight == timedelta(hours=23 if day == 8 else 25)
    assert [at for _, at in claims(world)] == [midnight] * 2 + [following] * 2


@given(
    minutes=st.floats(0, 15 * 366 * 1440, width=32),
    zone=st.sampled_from(
        ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe",
         "America/St_Johns", "Africa/Cairo", "America/Havana", "Pacific/Chatham"]
    ),
)  # fmt: skip
def test_the_day_and_the_hour_hold_the_moment_and_end(minutes, zone):
    moment = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    clock = Clock.read(zone, moment)
    assert clock.day_start <= moment < clock.tomorrow
    assert clock.hour_start <= moment < clock.next_hour
    assert clock.next_hour - clock.hour_start == timedelta(hours=1)
    assert clock.tomorrow - clock.day_start <= timedelta(hours=25)
    # The next day begins where this one ends.
    assert Clock.read(zone, clock.tomorrow).day_start == clock.tomorrow
