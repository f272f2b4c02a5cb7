"""Arms: drawn once by a salted hash, close to their weights, winners outside the analysis."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.engine.assignment import draw_arms
from pipeline.engine.programme import load_programme
from pipeline.engine.tick import load_files
from pipeline.ledger.store import create_ledger, open_ledger, transaction
from tests.engine.conftest import World

STEP = """  - id: a
    channel: email
    subject: Hi
    body: templates/hello.md
    experiment:
      id: subject_1
      control: x
      metric: clicked
      window: 3d
      {share}{weights}decide: {{auto: true}}
      variants:
        - {{id: x}}
        - {{id: y, subject: "Other words"}}
"""


def sequence(world, *, head="", share="", weights="", name="one", experiment="subject_1"):
    steps = STEP.format(share=share, weights=weights).replace("subject_1", experiment)
    world.sequence(name, steps, head=head)


def arms(world, experiment="subject_1"):
    return dict(
        world.rows(
            f"select arm, count(*) from assignments where experiment_id = '{experiment}' group by all"
        )
    )


@pytest.mark.parametrize(
    ("weights", "share_of_y"),
    [
        pytest.param("", 0.5, id="equal"),
        pytest.param(
            "allocation: weights\n      weights: {x: 80%, y: 20%}\n      ", 0.2, id="weights"
        ),
    ],
)
def test_arms_are_close_to_their_weights(world, weights, share_of_y):
    sequence(world, weights=weights)
    world.leads(600)
    world.tick()
    found = arms(world)
    assert sum(found.values()) == 600
    assert binomtest(found["y"], 600, share_of_y).pvalue > 0.001
    probability = world.rows("select distinct probability from assignments where arm = 'y'")
    assert probability == [(pytest.approx(share_of_y),)]


def test_the_words_of_the_arm_are_sent(world):
    sequence(world)
    world.leads(20)
    world.tick()
    subjects = {m["Subject"] for m in world.mail()}
    assert subjects == {"Hi", "Other words"}
    rows = world.rows(
        "select count(*) from sends as s inner join assignments as a on s.lead_id = a.unit_id and s.variant = a.arm"
    )
    assert rows == [(20,)]


def test_more_leads_change_nobodys_arm(world):
    sequence(world)
    world.leads(50)
    world.tick()
    before = dict(world.rows("select unit_id, arm from assignments"))
    world.land(leads=[{"email": f"v{i}@example.com", "source": "ONE"} for i in range(50)])
    world.tick()
    after = dict(world.rows("select unit_id, arm from assignments"))
    assert len(after) == 100
    assert before.items() <= after.items()


def test_two_experiments_are_independent(world):
    sequence(world)
    sequence(
        world, name="two", experiment="subject_2", head="enroll: {when: \"lead.source = 'ONE'\"}\n"
    )
    world.leads(400)
    world.tick()
    same = world.rows(
        "select count(*) from assignments as a inner join assignments as b using (unit_id) "
        "where a.experiment_id = 'subject_1' and b.experiment_id = 'subject_2' and a.arm = b.arm"
    )[0][0]
    assert binomtest(same, 400, 0.5).pvalue > 0.001


def test_a_sample_share_leaves_the_rest_with_the_control_outside_the_test(world):
    sequence(world, share="share: 25%\n      ")
    world.leads(400)
    world.tick()
    inside = sum(arms(world).values())
    assert binomtest(inside, 400, 0.25).pvalue > 0.001
    outside = world.rows(
        "select distinct s.variant from sends as s anti join assignments as a on s.lead_id = a.unit_id"
    )
    assert outside == [("x",)]


def test_the_held_out_group_of_the_first_contact_belongs_to_the_experiment(world):
    sequence(world, head="enroll: {when: \"lead.source = 'ONE'\", holdout: 20%}\n")
    world.leads(500)
    world.tick()
    found = arms(world)
    assert binomtest(found["(holdout)"], 500, 0.2).pvalue > 0.001
    shares = dict(world.rows("select arm, share from arms"))
    assert shares == {
        "x": pytest.approx(0.4),
        "y": pytest.approx(0.4),
        "(holdout)": pytest.approx(0.2),
    }


def test_after_an_applied_decision_new_leads_get_the_winner_outside_the_analysis(world):
    sequence(world)
    world.leads(10)
    world.tick()
    with open_ledger(world.home) as con:
        con.execute(
            "insert into looks values ('subject_1', $n::date, $n, 'winner', 'y', 'for the test', '{}', $n, null)",
            {"n": world.now},
        )
    world.land(leads=[{"email": f"w{i}@example.com", "source": "ONE"} for i in range(30)])
    world.tick()
    rows = world.rows(
        "select arm, reason, count(*) from assignments where reason = 'winner' group by all"
    )
    assert rows == [("y", "winner", 30)]
    assert sum(arms(world).values()) == 40


def test_an_arm_that_was_stopped_for_harm_gets_no_further_lead(world):
    sequence(world)
    world.leads(60)
    world.tick()
    before = arms(world)
    with open_ledger(world.home) as con:
        # Named first, found harmful later: the harm is obeyed.
        con.execute(
            "insert into looks values ('subject_1', $n::date, $n, 'winner', 'y', 'named', '{}', $n, null), "
            "('subject_1', $n::date + 1, $n, 'harmful', null, 'stopped', '{}', null, ['y'])",
            {"n": world.now},
        )
    world.land(leads=[{"email": f"h{i}@example.com", "source": "ONE"} for i in range(60)])
    world.tick()
    after = arms(world)
    assert after["y"] == before["y"]
    # Who would have had the control is in the test as before, the others are outside it.
    assert before["x"] < after["x"] < before["x"] + 60
    sent = world.rows("select variant, count(*) from sends group by all order by all")
    assert dict(sent) == {"x": 120 - before["y"], "y": before["y"]}


DELAY = """  - {{id: a, channel: email, subject: Hi, body: templates/hello.md}}
  - id: b
    after: 1d
    channel: email
    subject: Hi
    body: templates/hello.md
    experiment:
      id: delay_1
      control: soon
      metric: replied
      window: 10d
      variants:
        - {{id: soon}}
        - {{id: later, after: 3d}}
"""


def test_a_delay_is_drawn_when_the_step_before_is_settled(world):
    world.sequence("one", DELAY.format())
    world.leads(40)
    world.tick()
    start = world.now
    drawn = world.rows("select count(*), min(assigned_at), max(assigned_at) from assignments")
    assert drawn == [(40, start, start)]
    world.tick(days=1)
    found = arms(world, "delay_1")
    assert len(world.mail()) == 40 + found["soon"]
    world.tick(days=2)
    assert len(world.mail()) == 80
    delays = dict(world.rows("select arm, delay_seconds from arms"))
    assert delays == {"soon": 86400, "later": 3 * 86400}
    gaps = world.rows(
        "select variant, min(claimed_at), max(claimed_at) from sends where variant is not null group by all order by all"
    )
    assert [(g[0], (g[1] - start).days) for g in gaps] == [("later", 3), ("soon", 1)]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A ledger with the relations of one tested step, for laws of the draw."""
    room = tmp_path_factory.mktemp("bench")
    create_ledger(room / "home")
    world = World(room / "home", room / "sequences")
    sequence(world, weights="weights: {x: 30%, y: 70%}\n      ")
    with open_ledger(world.home) as con, transaction(con):
        load_programme(con, *load_files(world.folder), world.now)
        yield con


def draw(con, salt, leads, share):
    """Draw for these leads with this sample share; arms of whoever is in the test, by lead."""
    con.execute(
        """
        create or replace temp table drawing as
        select
            lead_id as enrollment_id, lead_id, s.version_id, s.step_ix, s.experiment_id, s.varies,
            s.control, $share as sample_share, s.is_auto, false as is_holdout, s.has_holdout_arm,
            s.holdout, now() as drawn_at
        from unnest($leads) as l (lead_id) cross join step as s
        """,
        {"leads": sorted(leads), "share": share},
    )
    draw_arms(con, salt)
    found = con.execute("select enrollment_id, arm from assigned where reason <> 'outside'")
    return dict(found.fetchall())


SHARES = st.floats(0, 1)


@settings(max_examples=50, deadline=None)
@given(
    salt=st.text("0123456789abcdef", min_size=8, max_size=8),
    leads=st.sets(st.integers(1, 10**12), min_size=1, max_size=60),
    share=SHARES,
    other=SHARES,
    is_drawn_before=st.booleans(),
)
def test_raising_the_share_never_moves_anybody_already_in(
    bench, salt, leads, share, other, is_drawn_before
):
    low, high = sorted((share, other))
    bench.execute("delete from assignments")
    before = draw(bench, salt, leads, low)
    # Also where nothing is stored yet: the thresholds are nested by themselves.
    if not is_drawn_before:
        bench.execute("delete from assignments")
    after = draw(bench, salt, leads, high)
    assert before.items() <= after.items()
    assert draw(bench, salt, leads, low).items() >= after.items(), "who is in stays in"
    bench.execute("delete from assignments")
    assert draw(bench, salt, leads, 1.0).keys() == leads
