"""What the second interpreter found: one small world for each, in the order in which it was mended."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pipeline.inbound.landing import append_lines, format_instant
from pipeline.ledger.locks import hold_lock

MAIL = "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
HELD_OUT = "enroll: {when: \"lead.source = 'ONE'\", holdout: 50%}\n"


def test_a_ghost_waits_for_the_daily_cap_like_everybody(world):
    # Ghosts went past a full cap, so their time zero came days before that of the contacted (R12).
    world.sequence("one", MAIL, head=HELD_OUT + "limits: {per_day: 1}\n")
    world.leads(8)
    first = world.now
    for day in range(8):
        world.tick(days=min(day, 1))
    rows = world.rows(
        """
        select e.is_holdout, coalesce(s.claimed_at, x.ended_at)
        from enrollments as e
        left join sends as s using (enrollment_id)
        left join enrollment_ends as x using (enrollment_id)
        order by e.enrollment_id
        """
    )
    assert {is_holdout for is_holdout, _ in rows} == {True, False}
    contacted = 0
    for is_holdout, moment in rows:
        assert (moment - first).days == contacted
        contacted += not is_holdout


def test_held_out_leads_take_no_place_of_a_full_sequence(world):
    # A batch with held-out leads filled fewer places than there were, for ever.
    head = "enroll: {when: \"lead.source = 'ONE'\", holdout: 50%, max_leads: 3}\n"
    world.sequence("one", MAIL, head=head)
    world.leads(12)
    world.tick()
    rows = world.rows("select is_holdout from enrollments order by enrollment_id")
    assert [is_holdout for (is_holdout,) in rows].count(False) == 3
    assert rows[-1] == (False,)  # nobody is held out of a sequence that takes no one


def test_an_attempt_that_an_event_overtook_is_withdrawn(world):
    # The send stayed `retry` and was counted as in flight for ever.
    world.sequence("one", MAIL)
    world.leads(1)
    with hold_lock(world.home / "dispatch.lock"):
        world.tick()
    answer = {"end": 1, "attempt": 1, "at": format_instant(world.now), "status": "retry"}
    append_lines(world.home, "journal", [answer], world.now)
    (world.home / "STOP").touch()  # the answer is taken in, nothing else goes out
    world.tick()
    assert world.rows("select status from live") == [("retry",)]
    world.event("replied", email="u0@example.com")
    world.tick(seconds=1)
    assert world.rows("select status, reason from send_status") == [("withdrawn", "ended")]
    assert world.rows("select outcome from why_outcomes") == [("skipped",)]


def test_at_one_instant_a_conversion_comes_before_a_reply(world):
    # Which of the two ended the enrollment was left to chance.
    two = MAIL + "  - {id: b, after: 1d, channel: sms, text: Hello}\n"
    world.sequence("one", two, head="goal: {name: sale}\n")
    world.leads(1)
    world.tick()
    for kind, name in (("replied", None), ("converted", "sale"), ("bounced", None)):
        named = {"name": name} if name else {}
        world.event(kind, email="u0@example.com", occurred_at=format_instant(world.now), **named)
    world.tick(seconds=1)
    assert world.rows("select status, reason from enrollment_ends") == [("converted", "sale")]


def test_an_end_and_a_branch_with_a_condition_stand_aside_where_it_does_not_hold(world):
    # Their `when` was compiled and never asked: everybody was ended.
    world.sequence(
        "one",
        "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
        "  - {id: no, when: lead.country = 'US', end: inactive}\n"
        "  - id: fork\n    when: lead.country = 'US'\n    branch:\n"
        "      - steps: [{id: b, channel: email, subject: Hi, body: templates/hello.md}]\n"
        "  - {id: c, channel: sms, text: Hello}\n"
        "  - {id: last, when: lead.country = 'US', end: inactive}\n",
    )
    world.leads(1, country="DE")
    world.leads(1, country="US", email="us@example.com", phone="+15550109999")
    world.tick()
    rows = world.rows(
        """
        select l.country, x.reason, string_agg(t.step_id, ' ' order by t.step_ix)
        from leads as l
        inner join enrollments as e using (lead_id)
        inner join enrollment_ends as x using (enrollment_id)
        inner join sends as s on e.enrollment_id = s.enrollment_id
        inner join steps as t on s.version_id = t.version_id and s.step_ix = t.step_ix
        group by all order by all
        """
    )
    assert rows == [("DE", None, "a c"), ("US", "inactive", "a")]


def test_what_follows_a_withdrawn_claim_is_not_left_to_the_next_tick(world):
    # When all claims of a chunk were withdrawn, steps that were due then waited for another tick.
    world.sequence(
        "one",
        MAIL + "  - {id: b, channel: sms, text: Hello}\n",
        head="react: {bounced: continue}\n",
    )
    world.leads(1)
    with hold_lock(world.home / "dispatch.lock"):
        world.tick()
    world.event("bounced", email="u0@example.com")
    world.tick(seconds=1)
    assert world.rows("select status from send_status order by send_id") == [
        ("withdrawn",),
        ("handed_over",),
    ]


def test_a_reply_still_stops_whoever_finishes_a_sequence_without_a_file(world):
    # With the file its reactions were gone, and people who had answered got the next message.
    world.sequence("one", MAIL + "  - {id: b, after: 1d, channel: sms, text: Hello}\n")
    world.leads(1)
    world.tick()
    (world.folder / "one.yml").unlink()
    world.event("replied", email="u0@example.com")
    world.tick(days=1)
    assert world.rows("select reason from enrollment_ends") == [("replied",)]


@pytest.mark.parametrize("zone", ["Africa/Casablanca", "America/Vancouver", "Europe/Chisinau"])
def test_a_day_keeps_the_wall_time_where_two_zone_databases_disagree(world, zone):
    # The way to local time used DuckDB's zones and the way back Python's: an hour was lost in between.
    world.sequence("one", "  - {id: a, after: 1d, channel: sms, text: Hello}\n")
    for moment in (
        datetime(2026, 3, 28, 23, tzinfo=UTC),
        datetime(2026, 12, 29, 7, 30, tzinfo=UTC),
    ):
        world.now = moment
        world.leads(1, timezone=zone, email=f"{moment:%j}@example.com", phone=f"+15550{moment:%j}0")
        world.tick()
        world.tick(hours=27)
    rows = world.rows(
        "select e.enrolled_at, s.slot_at, s.claimed_at, s.local_on "
        "from sends as s inner join enrollments as e using (enrollment_id)"
    )
    assert len(rows) == 2
    for enrolled_at, due_at, claimed_at, local_on in rows:
        before, after = (moment.astimezone(ZoneInfo(zone)) for moment in (enrolled_at, due_at))
        assert after.replace(tzinfo=None) - before.replace(tzinfo=None) == timedelta(days=1)
        assert local_on == claimed_at.astimezone(ZoneInfo(zone)).date()
