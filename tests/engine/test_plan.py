"""What becomes of due steps: windows, lateness, conditions, limits, holdouts, branches."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipeline.engine import plan
from pipeline.engine.programme import STEP_SPAN
from pipeline.ledger.statements import run_file
from pipeline.sequences.conditions import JUDGED_SECONDS

PLAN = Path(plan.__file__)

MAIL = "  - {id: %s, channel: email, subject: Hi, body: templates/hello.md%s}\n"


def step(name, rest=""):
    return MAIL % (name, f", {rest}" if rest else "")


def outcomes(world):
    return world.rows(
        "select outcome, reason, count(*) from why_outcomes group by all order by all"
    )


def test_a_step_in_its_window_goes_out_at_once(world):
    world.sequence("one", step("a"))
    world.leads(3)
    report = world.tick()
    assert report.counts["handed_over"] == 3
    assert outcomes(world) == [("sent", None, 3)]
    assert {m["To"].addresses[0].domain for m in world.mail()} == {"example.com"}


def test_outside_its_window_a_step_is_postponed_to_the_opening_in_the_leads_zone(world):
    world.sequence("one", step("a"), calendar="")
    world.leads(1, timezone="Asia/Tokyo")  # Monday 24:00 there
    report = world.tick()
    assert outcomes(world) == [("postponed", "window", 1)]
    assert report.next_at == datetime(2026, 1, 6, 0, 0, tzinfo=UTC)  # Tuesday 09:00 in Tokyo
    world.tick(hours=9)
    assert ("sent", None, 1) in outcomes(world)


def test_weekends_never_make_a_step_late(world):
    world.sequence("one", step("a"), calendar="")
    world.now += timedelta(days=4, hours=8)  # Friday 18:00 in New York
    world.leads(1)
    report = world.tick()
    assert report.next_at == datetime(2026, 1, 12, 14, 0, tzinfo=UTC)  # Monday 09:00
    world.now = report.next_at
    assert world.tick().counts["handed_over"] == 1


def test_a_step_that_downtime_made_late_is_skipped_and_the_flow_goes_on(world):
    world.sequence("one", step("a") + step("b", "after: 1h") + step("c", "after: 1h"))
    world.leads(1)
    world.tick()
    world.tick(days=2)  # nobody ticked for two days: b is 47 h late, by default 24 h are too many
    assert ("skipped", "late", 1) in outcomes(world)
    world.tick(hours=1)
    assert len(world.mail()) == 2


def test_late_then_send_sends_all_the_same(world):
    world.sequence("one", step("a") + step("b", "after: 1h, late: {after: 24h, then: send}"))
    world.leads(1)
    world.tick()
    assert world.tick(days=2).counts["handed_over"] == 1


def test_a_condition_that_is_false_skips_for_good(world):
    world.sequence("one", step("a") + step("b", "after: 1h, when: \"clicked('a')\""))
    world.leads(1)
    world.tick()
    world.tick(hours=1)
    assert ("skipped", "condition", 1) in outcomes(world)
    assert world.rows("select status, reason from enrollment_ends") == [("completed", None)]


def test_an_open_counts_for_conditions_once_its_burst_could_be_judged(world):
    world.sequence("one", step("a") + step("b", "after: 1h, when: \"opened('a')\""))
    world.leads(2)
    world.tick()
    world.now += timedelta(minutes=59, seconds=55)
    world.event("opened", send_id=1, agent="Mozilla/5.0 (Windows NT 10.0) Thunderbird/128.0")
    world.now += timedelta(seconds=5)
    world.tick()  # due, but the open is 5 s old
    assert ("skipped", "condition", 2) in outcomes(world)


def test_an_open_before_the_step_lets_it_go(world):
    world.sequence("one", step("a") + step("b", "after: 1h, when: \"opened('a')\""))
    world.leads(2)
    world.tick()
    world.now += timedelta(minutes=30)
    world.event("opened", send_id=1, agent="Mozilla/5.0 (Windows NT 10.0) Thunderbird/128.0")
    world.tick()
    world.now += timedelta(minutes=30)
    world.tick()
    assert ("sent", None, 3) in outcomes(world)
    assert ("skipped", "condition", 1) in outcomes(world)


def test_branches_take_no_time_and_each_lead_takes_one_path(world):
    world.sequence(
        "one",
        step("a")
        + "  - id: fork\n    after: 1h\n    branch:\n"
        + "      - when: clicked('a')\n        steps:\n      "
        + step("yes")
        + "      - steps:\n      "
        + step("no")
        + step("last", "after: 1h"),
    )
    world.leads(2)
    world.tick()
    world.now += timedelta(minutes=30)
    world.event(
        "clicked", send_id=2, url="https://example.com/a", agent="Mozilla/5.0 Firefox/140.0"
    )
    world.tick()
    world.tick(hours=0.5)
    rows = world.rows(
        "select p.step_id, count(*) from sends as s inner join steps as p "
        "using (version_id, step_ix) group by all order by all"
    )
    assert rows == [("a", 2), ("no", 1), ("yes", 1)]
    world.tick(hours=1)
    assert len(world.mail()) == 6


def test_an_end_gives_its_status_and_leaves_nothing_running(world):
    world.sequence("one", step("a") + "  - {id: quiet, after: 10d, end: inactive}\n")
    world.leads(1)
    world.tick()
    world.tick(days=10)
    assert world.rows("select status, reason from enrollment_ends") == [("completed", "inactive")]
    assert world.rows("select count(*) from live") == [(0,)]


def test_a_held_out_lead_gets_one_ghost_and_no_message(world):
    world.sequence(
        "one",
        step("a") + step("b", "after: 1h"),
        head="enroll: {when: \"lead.source = 'ONE'\", holdout: 50%}\n",
    )
    world.leads(40)
    world.tick()
    world.tick(hours=1)
    ghosts = world.rows(
        "select count(*), count(distinct enrollment_id) from why where outcome = 'held_out'"
    )
    held = world.rows("select count(*) from enrollments where is_holdout")[0][0]
    assert ghosts == [(held, held)]
    assert 8 <= held <= 32
    assert len(world.mail()) == 2 * (40 - held)


def test_the_sequences_daily_limit_postpones_the_rest_to_the_next_day(world):
    world.sequence("one", step("a"), head="limits: {per_day: 3}\n")
    world.leads(8)
    report = world.tick()
    assert report.counts == report.counts | {"claimed": 3, "postponed": 5}
    assert report.next_at == datetime(2026, 1, 6, 5, 0, tzinfo=UTC)  # midnight in New York
    world.tick_until(datetime(2026, 1, 9, tzinfo=UTC))
    days = world.rows("select local_on::varchar, count(*) from sends group by all order by all")
    assert days == [("2026-01-05", 3), ("2026-01-06", 3), ("2026-01-07", 2)]


def test_the_limit_per_lead_skips_with_its_reason(world):
    steps = step("a") + step("b", "after: 1h") + step("c", "after: 1h")
    world.sequence("one", steps, head="limits: {per_lead: 3}\n")
    world.leads(1)
    world.tick_until(world.now + timedelta(days=1))
    # the limit is live: it can be lowered under a running enrollment
    assert len(world.mail()) == 3


def test_a_lead_without_an_address_is_skipped_and_the_next_channel_reaches_it(world):
    world.sequence("one", step("a") + '  - {id: t, after: 1h, channel: sms, text: "Hi"}\n')
    world.land(leads=[{"phone": "+15550100000", "source": "ONE"}])
    world.tick()
    assert outcomes(world) == [("skipped", "no_address", 1)]
    world.tick(hours=1)
    assert [m["To"].addresses[0].addr_spec for m in world.mail()] == [
        "+15550100000@sms.example.com"
    ]


def test_moving_the_clock_back_contacts_nobody_again(world):
    world.sequence("one", step("a") + step("b", "after: 2h"))
    world.leads(5)
    world.tick()
    world.tick(hours=2)
    before = len(world.mail())
    world.tick(hours=-2)
    world.tick(hours=1)
    assert len(world.mail()) == before == 10


def test_quiet_hours_of_a_channel_hold_on_top_of_the_calendar(world):
    path = world.folder / "workspace.yml"
    path.write_text(path.read_text() + 'quiet_hours: {sms: ["20:00-09:30", "10:00-10:30"]}\n')
    steps = (
        "  - {id: a, channel: email, subject: A, body: templates/hello.md}\n"
        "  - {id: b, channel: sms, text: B}\n"
        "  - {id: c, after: 10h, channel: sms, text: C}\n"
    )
    world.sequence("one", steps)
    world.leads(1)
    world.tick_until(world.now + timedelta(days=2))
    # Monday, ten in New York: the mail goes, the text waits half an hour, the next one until Tuesday.
    assert world.rows(
        "select channel, claimed_at - timestamptz '2026-01-05 15:00Z' from sends order by claimed_at"
    ) == [
        ("email", timedelta(0)),
        ("sms", timedelta(minutes=30)),
        ("sms", timedelta(hours=23, minutes=30)),
    ]


@pytest.fixture
def past() -> Iterator[duckdb.DuckDBPyConnection]:
    """Two due enrollments at a step that asks and one at another, and the tables of the ledger that tell of their past."""
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        con.execute(
            "create table due as select unnest([1, 2, 4])::bigint as enrollment_id, "
            "unnest([5, 5, 5])::bigint as version_id, unnest([3, 3, 1])::smallint as step_ix"
        )
        con.execute(
            "create table placed_sends (send_id int, enrollment_id bigint, step_ix smallint)"
        )
        con.execute(
            "create table send_outcomes (send_id int, status varchar, settled_at timestamptz)"
        )
        con.execute(
            "create table placed_events (enrollment_id bigint, kind varchar, verdict varchar, "
            "step_ix smallint, url varchar, received_at timestamptz)"
        )
        yield con


def history(con, now=datetime(2026, 1, 5, tzinfo=UTC)):
    asked = {"asking": [5 * STEP_SPAN + 3], "span": STEP_SPAN}
    run_file(con, PLAN.parent / "plan_history.sql", now=now, judged=JUDGED_SECONDS, **asked)
    return {row[0]: row[1:] for row in con.execute("from history").fetchall()}


def test_a_step_was_handed_over_when_it_was_or_may_have_been_the_last_time(past):
    day = [datetime(2026, 1, n, tzinfo=UTC) for n in (1, 2, 3, 4)]
    past.execute(
        "insert into placed_sends values (7, 1, 0), (8, 1, 2), (9, 2, 0), (5, 3, 0), (6, 4, 0)"
    )
    past.executemany(
        "insert into send_outcomes values (?, ?, ?)",
        [
            (7, "retry", day[0]),
            (7, "handed_over", day[1]),
            (8, "unknown", day[2]),
            (9, "refused", day[3]),
            (5, "handed_over", day[3]),
            (6, "handed_over", day[3]),
        ],
    )
    assert history(past) == {1: ({0: day[1], 2: day[2]}, None, None)}


def test_a_click_counts_once_its_burst_could_be_judged_and_a_call_at_once(past):
    now = datetime(2026, 1, 5, tzinfo=UTC)
    ago = [now - timedelta(seconds=n) for n in (0, 9, 10)]
    past.executemany(
        "insert into placed_events values (?, ?, ?, ?, ?, ?)",
        [
            (1, "clicked", "human", 0, "https://x/late", ago[1]),
            (1, "clicked", "human", 1, "https://x/judged", ago[2]),
            (1, "clicked", "machine", 1, "https://x/robot", ago[2]),
            (1, "opened", "human", 1, None, ago[2]),
            (2, "call_answered", "human", 3, None, ago[0]),
            (2, "call_answered", "machine", 4, None, ago[2]),
            (4, "call_answered", "human", 3, None, ago[2]),
        ],
    )
    found = history(past, now)
    assert found == {
        1: (None, None, [{"step_ix": 1, "url": "https://x/judged"}]),
        2: (None, 1 << 3, None),
    }
