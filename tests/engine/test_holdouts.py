"""Who is never contacted: by workspace, by sequence, at a step; nested, and without using quota."""

import itertools
import shutil
from dataclasses import replace

import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.engine.enroll import enroll
from pipeline.engine.plan import plan
from pipeline.engine.programme import load_programme
from pipeline.engine.tick import load_files, tick
from pipeline.ledger.store import create_ledger, open_ledger
from pipeline.settings import Settings
from tests.engine.conftest import WORKSPACE, World
from tests.examples import examples

MAIL = "  - {id: %s, channel: email, subject: Hi, body: templates/hello.md%s}\n"


def step(name, rest=""):
    return MAIL % (name, f", {rest}" if rest else "")


def hold_out(world, share):
    (world.folder / "workspace.yml").write_text(f"{WORKSPACE}holdout: {share}\n")


def held_out(world, sequence="one"):
    rows = world.rows(
        f"select lead_id from enrollments where is_holdout and sequence_id = '{sequence}'"
    )
    return {row[0] for row in rows}


def test_the_workspace_holds_the_same_leads_out_of_every_sequence(world):
    hold_out(world, "20%")
    head = "enroll: {when: \"lead.source = 'ONE'\"}\n"
    world.sequence("one", step("a") + step("b", "after: 1h"), head=head)
    world.sequence("two", step("a"), head=head)
    world.leads(300)
    world.tick()
    world.tick(hours=1)
    ghosts = held_out(world)
    assert binomtest(len(ghosts), 300, 0.2).pvalue > 0.001
    assert held_out(world, "two") == ghosts
    assert world.rows("select distinct held_out_by from enrollments where is_holdout") == [
        ("workspace",)
    ]
    contacted = {row[0] for row in world.rows("select lead_id from sends")}
    assert not ghosts & contacted
    assert len(contacted) == 300 - len(ghosts)
    # One ghost in each, at the first would-be hand-over, and out.
    assert world.rows(
        "select sequence_id, count(*) from why inner join enrollments using (enrollment_id) "
        "where outcome = 'held_out' and reason = 'holdout' group by all order by all"
    ) == [("one", len(ghosts)), ("two", len(ghosts))]


def test_a_sequence_holds_out_more_by_a_hash_of_its_own(world):
    hold_out(world, "20%")
    head = "enroll: {when: \"lead.source = 'ONE'\", holdout: 30%}\n"
    world.sequence("one", step("a"), head=head)
    world.sequence("two", step("a"), head=head)
    world.leads(500)
    world.tick()
    counts = dict(
        world.rows(
            "select held_out_by, count(*) from enrollments where sequence_id = 'one' group by all"
        )
    )
    assert binomtest(counts["workspace"], 500, 0.2).pvalue > 0.001
    assert binomtest(counts["sequence"], 500, 0.8 * 0.3).pvalue > 0.001
    # By the workspace the same leads, by the sequences others: 30 % of 30 % in both.
    both = world.rows(
        "select count(*) from enrollments as a inner join enrollments as b using (lead_id) "
        "where a.sequence_id = 'one' and b.sequence_id = 'two' "
        "and a.held_out_by = 'sequence' and b.held_out_by = 'sequence'"
    )[0][0]
    assert binomtest(both, 500 - counts["workspace"], 0.09).pvalue > 0.001


@pytest.mark.parametrize("level", ["workspace", "sequence", "step"])
def test_raising_the_share_moves_only_treated_leads_out(world, level):
    world.leads(150)
    groups = []
    for share in ("0%", "5%", "20%", "60%", "100%"):
        hold_out(world, share if level == "workspace" else "0%")
        of_sequence = f", holdout: {share}" if level == "sequence" else ""
        world.sequence(
            "one",
            step("a", f"holdout: {share}" if level == "step" else ""),
            head=f"enroll: {{when: \"lead.source = 'ONE'\"{of_sequence}}}\n",
        )
        # The same leads in a home of its own: nothing has happened there yet.
        home = world.home.parent / f"home-{share}"
        shutil.copytree(world.home, home)
        tick(Settings(home=home, sequences=world.folder), lambda: world.now)
        with open_ledger(home, read_only=True) as con:
            ghosts = "select distinct lead_id from enrollments inner join why using (enrollment_id)"
            rows = con.execute(f"{ghosts} where outcome = 'held_out'").fetchall()
        groups.append({row[0] for row in rows})
    assert [len(groups[0]), len(groups[-1])] == [0, 150]
    for fewer, more in itertools.pairwise(groups):
        assert fewer < more


def test_at_a_step_a_ghost_takes_the_place_of_a_message_and_the_enrollment_ends(world):
    world.sequence("one", step("a") + step("b", "after: 1h, holdout: 25%") + step("c", "after: 1h"))
    world.leads(300)
    world.tick()
    assert len(world.mail()) == 300
    world.tick(hours=1)
    ghosts = world.rows(
        "select outcome, reason, count(*) from why where step_ix = 1 group by all order by all"
    )
    assert [row[:2] for row in ghosts] == [("claimed", None), ("held_out", "step_holdout")]
    count = ghosts[1][2]
    assert binomtest(count, 300, 0.25).pvalue > 0.001
    assert world.rows("select status, reason, count(*) from enrollment_ends group by all") == [
        ("completed", "held_out", count)
    ]
    world.tick(hours=1)
    assert len(world.mail()) == 300 + 2 * (300 - count)
    assert world.rows("select count(*) from enrollments where is_holdout") == [(0,)]


def test_at_a_step_the_same_checks_come_first_and_no_quota_is_used(world):
    world.sequence(
        "one",
        step("a", "holdout: 50%, when: \"lead.country = 'US'\""),
        head="limits: {per_day: 5}\n",
    )
    world.leads(40, country="US")
    world.land(leads=[{"email": f"v{i}@example.com", "source": "ONE"} for i in range(10)])
    world.tick()
    found = dict(world.rows("select coalesce(reason, outcome), count(*) from why group by all"))
    assert found["condition"] == 10
    assert found["claimed"] == 5
    # Ghosts stand in the same queue: those behind the fifth message wait like everybody.
    assert 0 < found["step_holdout"] < 20
    assert found["sequence_cap"] == 40 - 5 - found["step_holdout"]


def test_held_out_at_a_step_means_outside_its_test(world):
    test = (
        "holdout: 40%, experiment: {id: e, control: x, metric: replied, window: 3d, "
        "variants: [{id: x}, {id: y, subject: Other}]}"
    )
    world.sequence("one", step("a", test))
    world.leads(200)
    world.tick()
    ghosts = world.rows("select enrollment_id from why where outcome = 'held_out'")
    assert 40 < len(ghosts) < 120
    assert world.rows(
        "select count(*), count(w.enrollment_id) from assignments as a "
        "left join why as w on a.enrollment_id = w.enrollment_id and w.outcome = 'held_out'"
    ) == [(200 - len(ghosts), 0)]


def test_the_held_out_group_of_a_test_is_whom_either_level_holds_out(world):
    hold_out(world, "20%")
    test = (
        "experiment: {id: e, control: x, metric: replied, window: 3d, "
        "variants: [{id: x}, {id: y, subject: Other}]}"
    )
    head = "enroll: {when: \"lead.source = 'ONE'\", holdout: 25%}\n"
    world.sequence("one", step("a", test), head=head)
    world.leads(300)
    world.tick()
    shares = dict(world.rows("select arm, share from arms"))
    assert shares == pytest.approx({"x": 0.3, "y": 0.3, "(holdout)": 0.4})
    drawn = dict(world.rows("select arm, count(*) from assignments group by all"))
    assert sum(drawn.values()) == 300
    assert binomtest(drawn["(holdout)"], 300, 0.4).pvalue > 0.001
    assert dict(world.rows("select distinct arm, probability from assignments")) == pytest.approx(
        shares
    )


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """A ledger with sixty leads whom nobody has enrolled, and the files of one sequence."""
    room = tmp_path_factory.mktemp("crowd")
    create_ledger(room / "home")
    world = World(room / "home", room / "sequences")
    world.leads(60)
    world.tick()
    world.sequence("one", step("a"))
    with open_ledger(world.home) as con:
        yield con, load_files(world.folder), world.now


def find_ghosts(crowd, salt, shares):
    """Enroll and plan, look who is held out by these shares of the levels, and take it all back."""
    con, (workspace, [sequence]), now = crowd
    of_workspace, of_sequence, of_step = shares
    steps = tuple(replace(one, holdout=of_step) for one in sequence.steps)
    con.execute("begin")
    try:
        programme = load_programme(
            con,
            workspace.model_copy(update={"holdout": of_workspace}),
            [replace(sequence, holdout=of_sequence, steps=steps)],
            now,
        )
        enroll(con, programme, salt, now)
        plan(con, programme, salt, now)
        found = con.execute(
            "select lead_id, outcome from why inner join enrollments using (enrollment_id)"
        )
        told = found.fetchall()
    finally:
        con.execute("rollback")
    return {lead for lead, outcome in told if outcome == "held_out"}, len(told)


@examples(8, phases=[Phase.generate])
@given(
    salt=st.text("0123456789abcdef", min_size=8, max_size=8),
    shares=st.tuples(*[st.tuples(st.floats(0, 0.6), st.floats(0, 1))] * 3),
)
def test_whoever_is_held_out_stays_held_out_whichever_share_is_raised(crowd, salt, shares):
    low, high = (tuple(pick(pair) for pair in shares) for pick in (min, max))
    fewer, count = find_ghosts(crowd, salt, low)
    more, count_again = find_ghosts(crowd, salt, high)
    assert (count, count_again) == (60, 60), "every lead is decided upon once"
    assert fewer <= more
