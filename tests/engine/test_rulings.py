"""What a person rules about an experiment, and what the next leads get."""

import pytest

from pipeline.engine.promotion import promote
from pipeline.engine.rulings import Ruling, declare, pause_experiment
from pipeline.ledger.store import open_ledger
from pipeline.settings import DripError
from tests.engine.conftest import TESTED


def subjects(world, name):
    """Let twenty more leads come and return the subjects that they get."""
    before = len(world.mail())
    world.land(leads=[{"email": f"{name}{i}@example.com", "source": "ONE"} for i in range(20)])
    world.tick(hours=1)
    return {m["Subject"] for m in world.mail()[before:]}


def stop_new_words(world):
    """Let a look find that arm y does harm."""
    with open_ledger(world.home) as con:
        con.execute(
            "insert into looks values ('subject_1', $n::date, $n, 'harmful', null, 'stopped', '{}', null, ['y'])",
            {"n": world.now},
        )


def drawn(world):
    return world.rows("select reason, count(*) from assignments group by all order by all")


def test_a_declared_winner_goes_to_every_further_lead_until_it_is_taken_back(tested):
    found = declare(tested.settings, "subject_1", "y", tested.now)
    assert found == Ruling("subject_1", "y", False)
    assert subjects(tested, "b") == {"New"}
    assert drawn(tested) == [("hash", 20), ("winner", 20)]
    declare(tested.settings, "subject_1", None, tested.now)
    assert subjects(tested, "c") == {"Old", "New"}
    assert drawn(tested) == [("hash", 40), ("winner", 20)]


def test_a_declared_winner_that_does_harm_later_goes_to_nobody_any_more(tested):
    declare(tested.settings, "subject_1", "y", tested.now)
    stop_new_words(tested)
    assert subjects(tested, "b") == {"Old"}
    assert "winner" not in dict(drawn(tested))


def test_a_declared_winner_is_what_is_promoted(tested):
    declare(tested.settings, "subject_1", "y", tested.now)
    found = promote(tested.settings, "subject_1")
    assert found.arm == "y"
    assert "nobody has looked" in found.warning


def test_a_declared_winner_counts_more_than_an_automatic_one(tested):
    tested.sequence(
        "one", TESTED.replace("metric: replied", "metric: replied\n      decide: {auto: true}")
    )
    with open_ledger(tested.home) as con:
        con.execute(
            "insert into looks values ('subject_1', $n::date, $n, 'winner', 'x', 'named', '{}', $n, null)",
            {"n": tested.now},
        )
    assert subjects(tested, "b") == {"Old"}
    declare(tested.settings, "subject_1", "y", tested.now)
    assert subjects(tested, "c") == {"New"}


def test_while_an_experiment_is_paused_its_sequence_runs_and_nobody_is_drawn(tested):
    paused = pause_experiment(
        tested.settings, "subject_1", tested.now, is_paused=True, reason="prices are wrong"
    )
    assert paused.is_paused
    assert tested.rows("select act, result from operator_acts") == [("paused", "prices are wrong")]
    assert subjects(tested, "b") == {"Old"}
    assert drawn(tested) == [("hash", 20)]
    tested.now = tested.now.replace(minute=30)
    assert not pause_experiment(tested.settings, "subject_1", tested.now, is_paused=False).is_paused
    assert subjects(tested, "c") == {"Old", "New"}
    assert drawn(tested) == [("hash", 40)]


def test_what_makes_no_sense_is_refused_in_words(tested):
    settings, now = tested.settings, tested.now
    with pytest.raises(DripError, match="Known: subject_1"):
        declare(settings, "subject_9", "y", now)
    with pytest.raises(DripError, match=r"no arm 'z'\. Known: x, y"):
        declare(settings, "subject_1", "z", now)
    with pytest.raises(DripError, match="No winner of subject_1 was declared"):
        declare(settings, "subject_1", None, now)
    with pytest.raises(DripError, match="is not paused"):
        pause_experiment(settings, "subject_1", now, is_paused=False)
    declare(settings, "subject_1", "x", now)
    with pytest.raises(DripError, match="already"):
        declare(settings, "subject_1", "x", now)
    stop_new_words(tested)
    with pytest.raises(DripError, match="stopped for harm"):
        declare(settings, "subject_1", "y", now)
