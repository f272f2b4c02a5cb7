"""Do winners hold where everything is real: mails, readers, machines, events, marts, looks, the engine?

Belongs here: many experiments of one simulated market, looked at every day. Does not: the rule on
drawn numbers, ten thousand times (`analysis/test_calibration`).
"""

import math
from datetime import timedelta

import pytest

from pipeline.ledger.store import open_ledger
from pipeline.simulation.drive import START, Drive, create_home
from pipeline.simulation.market import Market
from pipeline.simulation.truth import Appeal, Truth

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LEADS, DAYS, SEED = 500, 11, 7
FIRST_LOOK = 4
EQUAL, DIFFERENT = 12, 4
MODES = {"open": "mode: open, leads: 500", "planned": "mode: planned, leads: 300"}
# Of a difference that a single test finds four times of five, and this one is larger.
ALPHA, POWER = 0.05, {"open": 0.48, "planned": 0.74}
# Of readers a third clicks: 11 and 26 of a hundred leads.
TRUTH = Truth(
    appeals=(Appeal("plain words", 0.30, "a"), Appeal("good words", 0.75, "b")),
    buys_anyway=0.0,
    buys_when_contacted=0.0,
)
WORKSPACE = """\
name: Northwind Lessons
timezone: Europe/London
address: 12 Harbour Street, London
attributes: [course, plan]
transports:
  market: {kind: maildir}
senders:
  ann: {channel: email, address: "Ann Lee <ann@lessons.example>", transport: market}
"""
SEQUENCE = """\
description: Two subjects.
status: active
enroll:
  when: lead.source != 'NOBODY'
calendar:
  days: [mon, tue, wed, thu, fri, sat, sun]
steps:
  - id: mail
    channel: email
    sender: ann
    subject: "Lessons, in plain words"
    body: templates/welcome.md
    experiment:
      id: {name}
      control: a
      metric: clicked
      window: 1d
      decide: {{{mode}, auto: true}}
      variants:
        - {{id: a}}
        - {{id: b, subject: "Lessons, in {words} words indeed"}}
"""


def two_errors(rate, tests):
    return 2 * math.sqrt(rate * (1 - rate) / tests)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A market in which every lead takes part in all experiments, with a look every morning."""
    settings = create_home(tmp_path_factory.mktemp("winners") / "home", SEED)
    for path in settings.sequences.glob("*.yml"):
        path.unlink()
    (settings.sequences / "workspace.yml").write_text(WORKSPACE)
    for mode, decide in MODES.items():
        for words, count in (("plain", EQUAL), ("good", DIFFERENT)):
            for number in range(count):
                name = f"{mode}_{words}_{number}"
                text = SEQUENCE.format(name=name, mode=decide, words=words)
                (settings.sequences / f"{name}.yml").write_text(text)
    market = Market(TRUTH, leads=LEADS, days=DAYS - 1, start=START, seed=SEED)
    grid = timedelta(hours=12)
    with Drive(settings, market, days=DAYS, seed=SEED, grid=grid) as drive:
        for day in range(FIRST_LOOK, DAYS + 1):
            morning = START + timedelta(days=day)
            drive.run_until(morning)
            drive.refresh(morning + timedelta(hours=7))
    assert market.counts["unwanted"] == 0
    return settings.home


def winners(home):
    """Return the winner of each experiment that has one, by its id."""
    with open_ledger(home, read_only=True) as con:
        rows = con.execute(
            "select experiment_id, min(winner), count(distinct winner) from looks "
            "where winner is not null group by experiment_id"
        ).fetchall()
    assert all(count == 1 for *_, count in rows), "a winner that was named stays"
    return {experiment_id: winner for experiment_id, winner, _ in rows}


@pytest.mark.parametrize("mode", MODES)
def test_equal_subjects_rarely_have_a_winner(home, mode):
    found = [name for name in winners(home) if name.startswith(f"{mode}_plain")]
    assert len(found) / EQUAL <= ALPHA + two_errors(ALPHA, EQUAL), found


@pytest.mark.parametrize("mode", MODES)
def test_the_subject_that_more_people_read_is_found(home, mode):
    found = [arm for name, arm in winners(home).items() if name.startswith(f"{mode}_good")]
    assert set(found) == {"b"}
    assert len(found) / DIFFERENT >= POWER[mode] - two_errors(POWER[mode], DIFFERENT)


def test_every_day_has_one_look_and_the_next_leads_get_the_winner(home):
    with open_ledger(home, read_only=True) as con:
        looks = con.execute(
            "select count(*), count(distinct looked_on) from looks group by experiment_id"
        ).fetchall()
        after = con.execute(
            "select count(*) filter (where a.arm != l.arm or a.reason != 'winner'), count(*) "
            "from assignments as a inner join ("
            "    select experiment_id, min_by(winner, applied_at) as arm, min(applied_at) as applied_at"
            "    from looks where applied_at is not null group by experiment_id"
            ") as l using (experiment_id) where a.assigned_at > l.applied_at"
        ).fetchall()[0]
    days = DAYS - FIRST_LOOK + 1
    assert set(looks) == {(days, days)}
    assert after[0] == 0
    assert after[1] > 0
