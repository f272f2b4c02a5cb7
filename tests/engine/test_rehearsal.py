"""Rehearsing: a private home that goes away, draws like the real ones, ticks that miss nothing."""

from datetime import timedelta

import pytest

from pipeline.engine.preferred_scores import read_hour_scores
from pipeline.engine.rehearsal import SLOT, Rehearsal, choose_slot, open_private
from pipeline.engine.tick import load_files
from pipeline.ledger.store import open_ledger
from pipeline.settings import DripError, load_keys
from tests.engine.conftest import ALWAYS

ONE = "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
TWO = ONE + "  - {id: b, after: 1h, channel: email, subject: Hi, body: templates/hello.md}\n"


def rehearse(world, stage):
    return Rehearsal(stage, world.settings, *load_files(world.folder))


def test_the_private_home_has_the_real_keys_and_goes_away(world):
    with open_private(world.home, "1GB", copy=False) as stage:
        assert stage.home.parent == world.home
        assert stage.keys == load_keys(world.home)
        assert stage.con.execute("select count(*) from leads").fetchall() == [(0,)]
    assert not stage.home.exists()


def test_the_real_ledger_is_free_while_a_rehearsal_runs(world):
    world.sequence("one", TWO)
    world.leads(2)
    world.tick()
    with open_private(world.home, "1GB", copy=True) as stage:
        with open_ledger(world.home, timeout=0) as con:
            assert con.execute("select count(*) from live").fetchall() == [(2,)]
        rehearse(world, stage).tick_at(world.now + timedelta(hours=1))
        assert stage.con.execute("select count(*) from sends").fetchall() == [(4,)]
    assert world.rows("select count(*) from sends") == [(2,)]
    assert len(world.mail()) == 2


def test_one_rehearsed_tick_does_what_one_tick_does(world):
    world.sequence("one", TWO, head="limits: {per_day: 3}\n")
    world.leads(5)
    world.tick()
    moment = world.now + timedelta(days=1, hours=2)
    facts = "select * from live order by enrollment_id"
    with open_private(world.home, "1GB", copy=True) as stage:
        rehearse(world, stage).tick_at(moment)
        rehearsed = stage.con.execute(facts).fetchall()
    world.now = moment
    world.tick()
    assert rehearsed == world.rows(facts)


def test_more_than_a_chunk_is_handed_over_at_once(world):
    world.sequence("one", ONE)
    world.leads(700)
    (world.home / "STOP").touch()
    world.tick()
    with open_private(world.home, "1GB", copy=True) as stage:
        rehearsal = rehearse(world, stage)
        moments = rehearsal.run_until(world.now, world.now + timedelta(days=1), SLOT)
        assert moments == [world.now]
        assert rehearsal.report.counts["handed_over"] == 700
    assert world.mail() == []


def test_ticks_are_at_least_a_slot_apart(world):
    world.sequence("one", TWO)
    world.leads(1)
    world.tick()
    with open_private(world.home, "1GB", copy=True) as stage:
        slot = timedelta(minutes=80)
        moments = rehearse(world, stage).run_until(world.now, world.now + timedelta(days=1), slot)
    assert moments == [world.now, world.now + slot]


def test_a_home_without_a_ledger_is_told(tmp_path):
    with (
        pytest.raises(DripError, match="drip init"),
        open_private(tmp_path, "1GB", copy=True),
    ):
        pass


@pytest.mark.parametrize(
    ("step", "calendar", "minutes"),
    [
        pytest.param("", ALWAYS, 15, id="neither"),
        pytest.param(", late: {after: 5m, then: skip}", ALWAYS, 5, id="late"),
        pytest.param(", late: {after: 5m, then: send}", ALWAYS, 15, id="late-is-sent"),
        pytest.param("", 'calendar: {hours: "09:00-09:10"}\n', 10, id="window"),
    ],
)
def test_a_slot_is_no_longer_than_a_window_or_a_late_policy(world, step, calendar, minutes):
    world.sequence("one", ONE.replace("subject: Hi", f"subject: Hi{step}"), calendar=calendar)
    _, sequences = load_files(world.folder)
    assert choose_slot(sequences) == timedelta(minutes=minutes)


def test_a_rehearsal_has_the_scores_of_the_last_refresh_even_after_the_next(world):
    calendar = 'calendar: {hours: "09:00-17:00", preferred_hours: true}\n'
    world.sequence("one", ONE, calendar=calendar)
    world.publish_hours({(day, n): float(n == 3) for day in range(7) for n in range(6)})
    world.leads(30)
    with open_private(world.home, "1GB", copy=True) as stage:
        world.publish_hours({})
        assert set(read_hour_scores(stage.home, {"one"})) == {"one"}
    assert read_hour_scores(world.home, {"one"}) == {}
