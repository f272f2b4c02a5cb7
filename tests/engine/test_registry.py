"""The ledger knows when a sequence came, who made it, and when its file last changed."""

from datetime import timedelta
from decimal import Decimal

from pipeline.engine.status import read_status
from tests.engine.conftest import MONDAY

STEP = "  - {id: a, channel: email, subject: %s, body: templates/hello.md}\n"


def known(world):
    return world.rows(
        "select sequence_id, name, owner, created_by, created_at, updated_at, status "
        "from sequences order by sequence_id"
    )


def test_a_tick_writes_down_a_new_file_once_and_again_when_it_changes(world):
    world.sequence("one", STEP % "A", head="name: First\n")
    world.sequence("two", STEP % "B", head="status: draft\n")
    world.tick()
    same = ("a@example.com", "a@example.com", MONDAY)
    assert known(world) == [
        ("one", "First", *same, MONDAY, "active"),
        ("two", "two", *same, MONDAY, "draft"),
    ]
    world.tick(days=1)
    assert known(world)[0][5] == MONDAY
    # What is live counts like what makes a version: a limit, a word in a template.
    world.sequence("two", STEP % "B", head="status: draft\nlimits: {per_day: 3}\n")
    (world.folder / "templates" / "hello.md").write_text("Other words.")
    world.tick()
    later = MONDAY + timedelta(days=1)
    assert [row[5] for row in known(world)] == [later, later]


def test_the_creator_stays_when_the_owner_changes_and_the_file_goes_and_comes_back(world):
    world.sequence("one", STEP % "A")
    world.tick()
    path = world.folder / "one.yml"
    text = path.read_text().replace("a@example.com", "b@example.com")
    path.unlink()
    world.tick(days=1)
    assert known(world)[0][-2:] == (MONDAY + timedelta(days=1), "removed")
    world.tick(days=1)
    assert known(world)[0][-2] == MONDAY + timedelta(days=1)
    path.write_text(text)
    world.tick()
    assert known(world) == [
        (
            "one",
            "one",
            "b@example.com",
            "a@example.com",
            MONDAY,
            MONDAY + timedelta(days=2),
            "active",
        )
    ]


def test_status_shows_them(world, drip):
    world.sequence("one", STEP % "A", head="name: First\n")
    world.tick()
    (shown,) = read_status(world.settings).sequences
    assert (shown["sequence"], shown["name"], shown["created_at"]) == (
        "one",
        "First",
        MONDAY,
    )
    told = drip("status")
    assert "First" in told.out


def test_campaign_and_tags_are_those_that_the_file_has_now(world):
    world.sequence("one", STEP % "A", head="campaign: spring\ntags: [offer, b2b, offer]\n")
    world.tick()
    asked = "select campaign, tags from sequences"
    assert world.rows(asked) == [("spring", ["offer", "b2b"])]
    world.sequence("one", STEP % "A", head="tags: [b2b]\n")
    world.tick()
    assert world.rows(asked) == [(None, ["b2b"])]


def test_a_price_holds_from_the_tick_that_saw_it_until_the_next_one(world):
    world.sequence("one", STEP % "A")
    path = world.folder / "workspace.yml"
    text = path.read_text()

    def tick_at(cost):
        lines = (
            text
            if cost is None
            else text.replace("channel: email,", f"channel: email, cost: {cost},")
        )
        assert cost is None or lines != text
        path.write_text(lines)
        world.tick(days=1)

    for cost in (None, "0.0075", "0.0075", "1", None, None):
        tick_at(cost)
    assert world.rows("select sender, cost, currency, since from prices order by since") == [
        ("sales", Decimal("0.0075"), "USD", MONDAY + timedelta(days=2)),
        ("sales", Decimal(1), "USD", MONDAY + timedelta(days=4)),
        ("sales", None, "USD", MONDAY + timedelta(days=5)),
    ]
