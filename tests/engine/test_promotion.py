"""Which arm is promoted: the winner that the ledger names, or the one that a person names."""

import pytest

from pipeline.engine.promotion import promote
from pipeline.ledger.store import open_ledger
from pipeline.settings import DripError


def look(world, state, winner):
    with open_ledger(world.settings.home) as con:
        con.execute(
            "insert into looks values ('subject_1', $n::date, $n, $state, $winner, 'told', '{}', "
            "null, null)",
            {"n": world.now, "state": state, "winner": winner},
        )


def test_the_winner_of_the_last_look_is_the_step_and_who_comes_next_gets_it(tested):
    look(tested, "winner", "y")
    found = promote(tested.settings, "subject_1")
    assert (found.arm, found.warning) == ("y", "")
    assert '-    subject: Old\n+    subject: "New"' in found.diff
    before = len(tested.mail())
    tested.land(leads=[{"email": f"n{i}@example.com", "source": "ONE"} for i in range(4)])
    tested.tick()
    assert [m["Subject"] for m in tested.mail()[before:]] == ["New"] * 4
    assert tested.rows("select count(*) from assignments") == [(20,)]


def test_without_a_winner_a_person_decides_and_is_told_what_the_ledger_says(tested):
    with pytest.raises(DripError, match="nobody has looked at it yet"):
        promote(tested.settings, "subject_1")
    look(tested, "no_difference", None)
    with pytest.raises(DripError, match=r"it was no difference \(told\). A person may decide"):
        promote(tested.settings, "subject_1")
    found = promote(tested.settings, "subject_1", "y")
    assert found.arm == "y"
    assert "does not name y the winner" in found.warning
