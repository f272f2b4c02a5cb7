"""Limits, pass by pass: who finds no place waits for the moment at which one frees, and uses up none."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.limits import Clock, apply_limits, read_usage, warm_up_cap
from pipeline.engine.pauses import resume_enrollment
from pipeline.engine.programme import load_programme
from pipeline.engine.tick import load_files
from pipeline.inbound.landing import append_lines, format_instant
from pipeline.ledger.locks import hold_lock
from pipeline.ledger.store import create_ledger, open_ledger, transaction
from pipeline.sequences.compiled import Limits
from pipeline.sequences.model import SenderLimits, WarmUp, WorkspaceLimits
from tests.engine.conftest import WORKSPACE, World

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


def test_whom_the_hour_holds_up_uses_up_no_place_of_the_day(world):
    world.sequence("one", step("a"), head="limits: {per_hour: 1, per_day: 4}\n")
    world.leads(6)
    world.tick()
    assert [(reason, count) for reason, _, count in postponed(world)] == [("sequence_hour_cap", 5)]
    world.tick_until(world.now + timedelta(hours=30))
    hours = [at.hour for _, at in claims(world)]
    assert hours == [15, 16, 17, 18, 5, 6]


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


def test_of_two_sequences_of_a_campaign_only_the_one_further_along_goes(world):
    # Entries see to it that a lead is in one; a campaign written into running files finds it in two.
    rule = "enroll: {when: \"lead.source = 'ONE'\"}\n"
    later = "campaign: spring\n" + rule
    world.sequence("one", step("a", "after: 2h") + step("b", "after: 1d"), head=rule)
    world.sequence("two", step("c") + step("d", "after: 2h"), head=rule)
    world.leads(2)
    world.tick()
    world.sequence("one", step("a", "after: 2h") + step("b", "after: 1d"), head=later)
    world.sequence("two", step("c") + step("d", "after: 2h"), head=later)
    start = world.now
    world.tick(hours=2)
    tomorrow = datetime(2026, 1, 6, 5, 0, tzinfo=UTC)
    assert postponed(world) == [("campaign_overlap", tomorrow, 2)]
    world.tick_until(start + timedelta(days=3))
    assert [name for name, _ in claims(world)] == ["two"] * 4 + ["one"] * 4


def test_the_use_of_each_limit_is_told(world):
    limit(
        world,
        '{domain_per_day: {"*": 9, "big.example": 3}, domain_per_hour: {"big.example": 2}}',
        sender="limits: {per_day: 50, warm_up: {start: 7, growth: 1.5}}",
    )
    world.sequence("one", step("a"), head="limits: {per_hour: 4, per_day: 5}\n")
    for number, domain in enumerate(["big.example", "b.example", "c.example", "c.example"]):
        world.land(leads=[{"email": f"{number}@{domain}", "source": "ONE"}])
    world.tick()
    workspace, sequences = load_files(world.folder)

    def told(now):
        with world.ledger() as con:
            return [
                (u.kind, u.key, u.period, u.used, u.cap)
                for u in read_usage(con, workspace, sequences, now)
            ]

    assert told(world.now) == [
        ("sequence", "one", "day", 4, 5),
        ("sequence", "one", "hour", 4, 4),
        ("domain", "*", "day", 2, 9),
        ("domain", "big.example", "day", 1, 3),
        ("domain", "big.example", "hour", 1, 2),
        ("sender", "sales", "day", 4, 7),
    ]
    assert [used for *_, used, _ in told(world.now + timedelta(hours=1))] == [4, 0, 2, 1, 0, 4]
    assert told(world.now + timedelta(days=1))[-1] == ("sender", "sales", "day", 0, 10)


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


# Laws -------------------------------------------------------------------------------------------

NOON = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)
PASSES = ["lead", "sequence", "domain", "sender"]
REASONS = {
    "lead_day_cap": "lead", "sequence_cap": "sequence", "sequence_hour_cap": "sequence",
    "domain_cap": "domain", "domain_hour_cap": "domain", "sender_cap": "sender",
    "sender_hour_cap": "sender",
}  # fmt: skip
CAPS = st.one_of(st.none(), st.integers(1, 4))
STEPS = st.fixed_dictionaries(
    {
        "lead": st.integers(1, 8),
        "sequence": st.sampled_from(["one", "two"]),
        "sender": st.sampled_from(["sales", "second"]),
        "domain": st.sampled_from(["a.example", "b.example", None]),
        "is_holdout": st.sampled_from([False, False, False, True]),
        "count_sends": st.integers(0, 2),
        "minutes": st.integers(0, 5),
        "status": st.sampled_from(["waiting", "waiting", "waiting", "retry"]),
    }
)
# Minutes before now: in this hour, today, yesterday.
EARLIER = st.tuples(STEPS, st.sampled_from([10, 10, 300, 800]))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A ledger, and two sequences whose limits a test sets."""
    home = tmp_path_factory.mktemp("laws")
    create_ledger(home / "home")
    world = World(home / "home", home / "sequences")
    world.sequence("one", step("a"))
    world.sequence("two", step("a"))
    (world.folder / "workspace.yml").write_text(
        WORKSPACE.replace("America/New_York", "UTC").replace(
            "senders:", 'senders:\n  second: {channel: email, address: "b@example.com"}'
        )
        + "default_senders: {email: sales}\n"
    )
    workspace, sequences = load_files(world.folder)
    with open_ledger(world.home) as con, transaction(con):
        programme = load_programme(con, workspace, sequences, NOON)
        con.execute(
            """
            create temp table open_window as
            select window_id, 'UTC' as zone, $now::timestamptz - interval 9 day as open_at,
                $now::timestamptz + interval 99 day as close_at
            from (values ('one'), ('two')) as w (window_id)
            """,
            {"now": NOON},
        )
        con.execute(
            """
            create temp table zone_now as
            select window_id, zone, date '2026-01-05' as local_on,
                timestamptz '2026-01-06 00:00Z' as next_day_opens_at,
                timestamptz '2026-01-05 13:00Z' as next_hour_opens_at
            from open_window
            """
        )
        yield con, programme


def limited(programme, caps):
    """The programme with these caps: per day and hour of sequence, domain, sender; of a lead."""
    (by_sequence, by_domain, by_sender), lead_per_day = caps
    sequences = tuple(
        replace(s, limits=Limits(per_day=by_sequence[0], per_hour=by_sequence[1]))
        for s in programme.sequences
    )
    limits = WorkspaceLimits(
        lead_per_day=lead_per_day,
        domain_per_day={"*": by_domain[0]} if by_domain[0] else {},
        domain_per_hour={"*": by_domain[1]} if by_domain[1] else {},
    )
    of_sender = SenderLimits(per_day=by_sender[0], per_hour=by_sender[1])
    senders = {
        name: sender.model_copy(update={"limits": of_sender})
        for name, sender in programme.workspace.senders.items()
    }
    workspace = programme.workspace.model_copy(update={"limits": limits, "senders": senders})
    return replace(programme, workspace=workspace, sequences=sequences)


def postpone(con, programme, steps, earlier):
    """Let the passes look at the steps; the reason of each that is postponed, by its number."""
    rows = [
        (
            number, s["lead"], s["sequence"], s["sequence"], "UTC", s["sender"], s["domain"],
            s["is_holdout"], s["count_sends"], NOON - timedelta(minutes=s["minutes"]), NOON,
            s["status"], True, None, NOON, NOON.date(), None,
        )
        for number, s in enumerate(steps)
    ]  # fmt: skip
    con.execute(
        "create or replace temp table reachable (enrollment_id bigint, lead_id bigint, "
        "sequence_id varchar, window_id varchar, zone varchar, sender varchar, "
        "recipient_domain varchar, is_ghost boolean, count_sends smallint, due_at timestamptz, "
        "enrolled_at timestamptz, status varchar, is_contact boolean, stopped_by varchar, "
        "now_at timestamptz, local_on date, send_id bigint)"
    )
    con.execute("delete from sends")
    for number, (s, minutes) in enumerate(earlier):
        at = NOON - timedelta(minutes=minutes)
        con.execute(
            "insert into sends by name select $send_id as send_id, $lead as lead_id, 0 as "
            "enrollment_id, version_id, 0 as step_ix, 'email' as channel, $sender as sender, $at "
            "as claimed_at, $at as slot_at, 'UTC' as zone, $on as local_on, 'live' as origin, "
            "$domain as recipient_domain from sequence_versions where sequence_id = $sequence",
            {name: s[name] for name in ("lead", "sender", "domain", "sequence")}
            | {"send_id": number, "at": at, "on": at.date()},
        )
    if rows:
        con.executemany(f"insert into reachable values ({', '.join('?' * 17)})", rows)
    apply_limits(con, programme, NOON)
    found = con.execute("select enrollment_id, reason from postponed_by_limits").fetchall()
    assert len(found) == len(dict(found)), "a step is postponed once"
    return dict(found)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=25),
    earlier=st.lists(EARLIER, max_size=6),
    caps=st.tuples(st.tuples(*[st.tuples(CAPS, CAPS)] * 3), CAPS),
)
def test_no_limit_is_passed_none_is_used_up_by_who_waits_and_the_order_holds(
    bench, steps, earlier, caps
):
    con, programme = bench
    reasons = postpone(con, limited(programme, caps), steps, earlier)
    per_pass = dict(zip(PASSES, [(caps[1], None), *caps[0]], strict=True))
    asking = [n for n, s in enumerate(steps) if s["status"] == "waiting"]
    assert set(reasons) <= set(asking), "a retry has its place already"
    queue = sorted(asking, key=lambda n: (steps[n]["count_sends"] == 0, -steps[n]["minutes"], n))
    for name in PASSES:
        out = {n: reason for n, reason in reasons.items() if REASONS[reason] == name}
        for key in {steps[n][name] for n in queue} - {None}:
            ahead = 0
            mine = [minutes for s, minutes in earlier if s[name] == key]
            used = sum(m < 800 for m in mine), sum(m < 300 for m in mine)
            for n in (n for n in queue if steps[n][name] == key):
                is_full = [
                    cap is not None and count + ahead >= cap
                    for cap, count in zip(per_pass[name], used, strict=True)
                ]
                # Postponed if and only if a limit is full of those who went before and got through.
                assert (n in out) == any(is_full)
                if n in out and name != "lead":
                    assert out[n] == (f"{name}_cap" if is_full[0] else f"{name}_hour_cap")
                ahead += n not in out and not steps[n]["is_holdout"]
        queue = [n for n in queue if n not in out]
