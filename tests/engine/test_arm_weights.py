"""Thompson weights: read from the published file, stored with the draw, and never in the way."""

import math

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.analysis.refresh import refresh
from pipeline.engine import arm_weights
from pipeline.engine.arm_weights import LEAST_SHARE, choose_weights, read_arm_weights
from pipeline.sequences.compile import load_workspace
from pipeline.warehouse.paths import warehouse_path

STEP = """  - id: a
    channel: email
    subject: Hi
    body: templates/hello.md
    experiment:
      id: bandit
      control: x
      metric: clicked
      window: 3d
      allocation: thompson
      variants:
        - {id: x}
        - {id: y, subject: Other}
"""


def publish(home, rows, table="arm_weights"):
    """Publish a small warehouse as a refresh does: a new file, renamed over the old one."""
    path = home / "next.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("create schema analysis")
        con.execute(
            f"create table analysis.{table} "
            "(experiment_id varchar, arm varchar, weight double, computed_at timestamptz)"
        )
        for row in rows:
            con.execute(f"insert into analysis.{table} values (?, ?, ?, ?)", list(row))
    path.replace(warehouse_path(home))


def draw(world, count, first=0):
    names = range(first, first + count)
    world.land(leads=[{"email": f"u{i}@example.com", "source": "ONE"} for i in names])
    world.tick()


def drawn(world):
    return {
        arm: (count, probability)
        for arm, count, probability in world.rows(
            "select arm, count(*), any_value(probability) from assignments group by arm"
        )
    }


def test_arms_are_drawn_with_the_published_weights_and_the_row_says_so(world):
    world.sequence("one", STEP)
    publish(
        world.home,
        [
            ("bandit", "x", 0.2, "2026-01-04"),
            ("bandit", "y", 0.8, "2026-01-04"),
            ("bandit", "x", 0.9, "2026-01-03"),
            ("bandit", "y", 0.1, "2026-01-03"),
            ("other", "x", 1.0, "2026-01-04"),
        ],
    )
    draw(world, 300)
    found = drawn(world)
    assert (found["x"][1], found["y"][1]) == (pytest.approx(0.2), pytest.approx(0.8))
    assert binomtest(found["y"][0], 300, 0.8).pvalue > 0.001


def test_a_new_refresh_changes_the_weights_of_who_is_not_drawn_yet(world):
    world.sequence("one", STEP)
    draw(world, 20)
    before = world.rows("select * from assignments order by unit_id")
    assert {row[3] for row in before} == {0.5}
    publish(world.home, [("bandit", "x", 0.01, "2026-01-04"), ("bandit", "y", 0.99, "2026-01-04")])
    draw(world, 60, first=20)
    after = world.rows("select * from assignments order by unit_id")
    assert set(before) <= set(after)
    # The least share is kept for the arm that is behind.
    assert {round(row[3], 9) for row in after if row not in before} <= {0.05, 0.95}
    assert sum(row[2] == "y" for row in after if row not in before) > 45


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="no row"),
        pytest.param([("bandit", "x", 1.0, "2026-01-04")], id="an arm is missing"),
        pytest.param(
            [("bandit", "x", None, "2026-01-04"), ("bandit", "y", 1.0, "2026-01-04")], id="null"
        ),
        pytest.param(
            [("bandit", "x", -1.0, "2026-01-04"), ("bandit", "y", 2.0, "2026-01-04")], id="negative"
        ),
    ],
)
def test_without_usable_weights_arms_are_equal(world, rows):
    world.sequence("one", STEP)
    publish(world.home, rows)
    draw(world, 10)
    assert {row[1] for row in drawn(world).values()} == {0.5}


@pytest.mark.parametrize("content", [b"", b"not a database", None])
def test_a_file_that_cannot_be_read_stops_nobody(world, content):
    world.sequence("one", STEP)
    if content is None:
        publish(world.home, [("bandit", "x", 1.0, "2026-01-04")], table="of_another_version")
    else:
        warehouse_path(world.home).write_bytes(content)
    draw(world, 10)
    assert len(world.mail()) == 10
    assert {row[1] for row in drawn(world).values()} == {0.5}


def test_the_file_is_read_once_per_refresh_and_only_where_a_test_asks(world):
    publish(world.home, [("bandit", "x", 0.3, "2026-01-04"), ("bandit", "y", 0.7, "2026-01-04")])
    arm_weights._read.cache_clear()
    world.sequence("one", STEP.replace("allocation: thompson\n      ", ""))
    world.tick()
    assert arm_weights._read.cache_info().misses == 0
    world.sequence("one", STEP)
    for _ in range(4):
        world.tick()
    assert arm_weights._read.cache_info().misses == 1
    assert read_arm_weights(world.home) == {"bandit": {"x": 0.3, "y": 0.7}}
    publish(world.home, [])
    assert read_arm_weights(world.home) == {}


WEIGHTS = st.lists(st.floats(0, 1), min_size=2, max_size=10)


@given(WEIGHTS)
def test_probabilities_are_a_distribution_in_which_nobody_is_given_up(weights):
    arms = [str(place) for place in range(len(weights))]
    found = choose_weights(arms, dict(zip(arms, weights, strict=True)))
    assert math.isclose(sum(found), 1)
    assert min(found) >= LEAST_SHARE - 1e-12
    # Order is kept, and what is above the least share keeps its proportions.
    for one, other in zip(range(len(arms)), range(1, len(arms)), strict=False):
        if sum(weights) > 0 and weights[one] <= weights[other]:
            assert found[one] <= found[other] + 1e-12


@given(WEIGHTS)
def test_weights_that_leave_everybody_the_least_share_are_taken_as_they_are(weights):
    total = sum(0.06 + weight for weight in weights)
    shares = [(0.06 + weight) / total for weight in weights]
    arms = [str(place) for place in range(len(weights))]
    found = choose_weights(arms, dict(zip(arms, shares, strict=True)))
    if min(shares) >= LEAST_SHARE:
        assert found == pytest.approx(shares)


def test_a_real_refresh_moves_the_weights_and_the_next_leads_are_drawn_with_them(world):
    world.sequence("one", STEP.replace("clicked", "replied"))
    draw(world, 60)
    assert {row[3] for row in world.rows("from assignments")} == {0.5}
    # Whoever got the other subject replies.
    for (name,) in world.rows(
        "select i.email from assignments as a inner join identities as i on a.unit_id = i.lead_id "
        "where a.arm = 'y'"
    ):
        world.event("replied", email=name)
    world.tick(hours=1)
    world.tick(days=4)
    workspace = load_workspace(world.folder)
    refresh(world.home, world.settings, world.now, workspace=workspace)
    published = read_arm_weights(world.home)["bandit"]
    assert published["y"] == pytest.approx(0.9, abs=0.001)
    assert math.isclose(sum(published.values()), 1)
    before = set(world.rows("from assignments"))
    draw(world, 100, first=60)
    new = [row for row in world.rows("from assignments") if row not in before]
    assert len(new) == 100
    assert {row[3] for row in new} <= set(published.values())
    assert sum(row[2] == "y" for row in new) > 75
    # Nobody before has moved, and no winner is named: shares that follow the results bias means.
    assert before <= set(world.rows("from assignments"))
    refresh(world.home, world.settings, world.now, workspace=workspace)
    assert world.rows("select distinct state, winner from looks") == [("running", None)]
