"""`drip replay`: the same file tells the same story; another one tells what it would have changed."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.replay import replay
from pipeline.ledger.store import create_ledger
from pipeline.settings import DripError, create_keys
from tests.conftest import TEST_KEYS
from tests.engine.conftest import ALWAYS, MONDAY, World
from tests.examples import examples

STEPS = (
    "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
    "  - {id: b, after: 1d, channel: sms, when: sent('a') and not opened('a'), "
    "text: 'Hi. {{ unsubscribe }}'}\n"
    "  - {id: c, after: 26h, channel: email, subject: Yo, body: templates/hello.md}\n"
)
CALLS = (
    "  - {id: k, channel: call, script: Hello}\n"
    "  - {id: m, after: 3d, channel: email, subject: Hi, body: templates/hello.md}\n"
)


def act(world, kind, step="a", lead=0, **fields):
    """Something that a person does with a message, or by address alone."""
    found = world.rows(
        "select s.send_id from sends as s inner join identities as i using (lead_id) "
        f"inner join steps as t using (version_id, step_ix) where i.email = 'u{lead}@example.com' "
        f"and t.step_id = '{step}'"
    )
    if found:
        world.event(kind, send_id=found[0][0], **fields)


def live(world, days, most=60):
    """Tick at every moment at which something is due."""
    end = world.now + timedelta(days=days)
    for _ in range(most):
        due = world.tick().next_at
        if due is None or due > end:
            break
        world.now = max(due, world.now + timedelta(seconds=1))
    world.now = end


def told(found):
    return {(row["step_id"], row["change"]) for row in found.differences}


def every_byte(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def lived(world):
    """Four leads of which one opened, one replied, one unsubscribed; all is over."""
    world.sequence("one", STEPS)
    world.leads(4)
    world.tick()
    world.now += timedelta(hours=2)
    act(world, "opened", lead=0)
    world.tick(seconds=20)
    act(world, "replied", lead=1)
    world.event("unsubscribed", email="u2@example.com")
    world.tick(hours=1)
    live(world, 5)
    return world


def test_the_same_file_over_its_own_past_makes_no_difference(lived):
    found = replay(lived.settings, "one")
    assert found.differences == []
    assert found.changes == {"same": 8}
    assert found.first_contacts == {"same": 4}
    assert found.leads == {"before": 4, "now": 4}
    assert all(row["before"] == row["now"] for row in found.outcomes)


def test_a_replay_changes_no_byte_of_the_home_and_leaves_nothing(lived):
    before = every_byte(lived.home)
    replay(lived.settings, "one")
    after = every_byte(lived.home)
    assert {path: after[path] for path in before} == before
    assert {path.name for path in after.keys() - before.keys()} <= {"ledger.lock"}


def test_a_shorter_wait_is_told_as_earlier_messages(lived):
    lived.sequence("one", STEPS.replace("after: 26h", "after: 6h"))
    found = replay(lived.settings, "one")
    assert told(found) == {("c", "earlier")}
    assert "are still under way" not in " ".join(found.cannot_know)
    moved = {row["before_at"] - row["now_at"] for row in found.differences}
    assert moved == {timedelta(hours=20)}
    assert found.first_contacts == {"same": 4}


def test_a_new_step_is_told_as_messages_that_only_come_now(lived):
    lived.sequence(
        "one",
        STEPS + "  - {id: d, after: 2h, channel: email, subject: P, body: templates/hello.md}\n",
    )
    found = replay(lived.settings, "one", until=lived.now)
    assert told(found) == {("d", "only now")}
    assert any("messages were never sent" in line for line in found.cannot_know)


def test_a_step_that_is_gone_takes_its_reactions_with_it(lived):
    lived.sequence("one", STEPS[STEPS.index("  - {id: c") :])
    found = replay(lived.settings, "one")
    assert ("a", "only before") in told(found)
    assert any(
        "reactions hang on messages that were not sent again" in line for line in found.cannot_know
    )
    # The reply hung on a message that was never sent, the unsubscribe is known by address.
    now = {row["outcome"]: row["now"] for row in found.outcomes if row["step_id"] == "c"}
    assert now["sent"] == 3


def test_another_calendar_moves_first_contacts(lived):
    lived.sequence("one", STEPS, calendar='calendar: {hours: "14:00-16:00"}\n')
    found = replay(lived.settings, "one")
    # One of the four unsubscribed by address before the window opened.
    assert found.first_contacts == {"later": 3, "only before": 1}
    firsts = [row for row in found.differences if (row["step_id"], row["change"]) == ("a", "later")]
    assert {row["now_at"] - row["before_at"] for row in firsts} == {timedelta(hours=4)}


def test_preferred_hours_move_messages_by_the_scores_of_today_and_it_says_so(lived):
    calendar = 'calendar: {hours: "00:00-24:00", preferred_hours: true}\n'
    lived.sequence("one", STEPS, calendar=calendar)
    lived.publish_hours({(day, n): float(n == 5) for day in range(7) for n in range(6)})
    found = replay(lived.settings, "one")
    firsts = [row for row in found.differences if (row["step_id"], row["change"]) == ("a", "later")]
    # 20:00 in New York.
    assert {row["now_at"].hour for row in firsts} == {1}
    assert any("scores of the last refresh" in line for line in found.cannot_know)


def test_a_reaction_follows_its_message_to_another_moment(lived):
    """Moved by four hours, the message is opened four hours later, before the next step asks."""
    lived.sequence("one", STEPS, calendar='calendar: {hours: "14:00-16:00"}\n')
    found = replay(lived.settings, "one")
    skipped = [
        row["now"]
        for row in found.outcomes
        if row["step_id"] == "b" and row["reason"] == "condition"
    ]
    assert skipped == [1]


def test_a_file_beside_the_folder_can_be_tried(lived, tmp_path):
    text = (lived.folder / "one.yml").read_text()
    draft = tmp_path / "draft.yml"
    draft.write_text(text.replace("status: active", "status: draft").replace("26h", "30h"))
    found = replay(lived.settings, "one", file=draft, until=lived.now)
    assert told(found) == {("c", "later")}
    assert "26h" in (lived.folder / "one.yml").read_text()


def test_the_rule_of_the_file_chooses_only_when_asked(lived):
    lived.leads(2, source="OTHER", email="x@example.com")
    lived.tick()
    lived.sequence("one", STEPS, head="enroll: {when: lead.source = 'OTHER'}\n")
    assert replay(lived.settings, "one").differences == []
    found = replay(lived.settings, "one", by_rule=True)
    assert found.leads == {"before": 4, "now": 1}
    assert found.first_contacts == {"only before": 4, "only now": 1}


def test_only_those_who_entered_in_the_time_asked_for_are_told(lived):
    start = lived.now
    lived.land(leads=[{"email": "late@example.com", "source": "ONE"}])
    live(lived, 5)
    assert replay(lived.settings, "one", since=start).leads == {"before": 1, "now": 1}
    assert replay(lived.settings, "one", until=start).leads == {"before": 4, "now": 4}
    assert replay(lived.settings, "one").differences == []


def test_what_the_provider_refused_is_refused_again(world):
    world.sequence("one", STEPS)
    (world.folder / "templates" / "hello.md").write_text("Hello {{ last_name }}.")
    world.leads(2)
    live(world, 5)
    found = replay(world.settings, "one")
    assert found.differences == []
    assert {row["outcome"] for row in found.outcomes} == {"refused", "skipped"}


def test_a_time_in_which_the_engine_was_down_is_lived_as_it_was(world):
    world.sequence("one", STEPS)
    world.leads(2)
    world.tick()
    world.tick(days=1, hours=9)
    live(world, 4)
    assert replay(world.settings, "one").differences == []


@pytest.fixture
def called(world):
    """Two leads are called; one of them asks to be called again, and is, a day later."""
    workspace = world.folder / "workspace.yml"
    caller = '  caller: {channel: call, address: "Bo <bo@example.com>"}\n'
    workspace.write_text(workspace.read_text().replace("goals:", caller + "goals:"))
    world.sequence("one", CALLS)
    world.leads(2)
    world.tick()
    world.now += timedelta(hours=2)
    wish = world.now + timedelta(days=1)
    act(world, "callback_requested", "k", callback_at=wish.isoformat())
    live(world, 6)
    assert len([mail for mail in world.mail() if mail["X-Channel"] == "call"]) == 3
    return world


def test_calls_that_were_asked_for_again_come_again(called):
    assert replay(called.settings, "one").differences == []


def test_a_call_that_is_asked_for_again_follows_the_call(called):
    called.sequence("one", CALLS.replace("{id: k,", "{id: k, after: 5h,"))
    found = replay(called.settings, "one", until=called.now)
    assert found.first_contacts == {"later": 2}
    assert told(found) == {("k", "later"), ("m", "later")}


def test_a_sequence_without_a_past_is_told(world):
    world.sequence("one", STEPS)
    world.leads(1, source="OTHER")
    world.tick()
    with pytest.raises(DripError, match="no history"):
        replay(world.settings, "one")
    with pytest.raises(DripError, match="no sequence 'nine'"):
        replay(world.settings, "nine")
    with pytest.raises(DripError, match="does not exist"):
        replay(world.settings, "one", file=world.folder / "none.yml")


DEEDS = st.lists(
    st.tuples(
        # Two ticks at one instant are one tick to a replay.
        st.integers(1, 90),
        st.sampled_from(["opened", "clicked", "replied", "unsubscribed", "bounced", "converted"]),
        st.sampled_from(["a", "b", "c", ""]),
        st.integers(0, 5),
    ),
    max_size=8,
)


@examples(3)
@given(deeds=DEEDS, per_day=st.sampled_from([None, 3]), every=st.sampled_from([None, 3, 7]))
def test_in_any_past_the_same_file_makes_no_difference(tmp_path_factory, deeds, per_day, every):
    home = tmp_path_factory.mktemp("home")
    create_keys(home, TEST_KEYS)
    create_ledger(home)
    world = World(home, tmp_path_factory.mktemp("sequences"))
    limits = f"limits: {{per_day: {per_day}}}\n" if per_day else ""
    head = f"{limits}enroll: {{when: \"lead.source = 'ONE'\", holdout: 20%}}\n"
    world.sequence("one", STEPS, head, ALWAYS if per_day else "")
    world.leads(6)
    world.tick()
    for hours, kind, step, lead in sorted(deeds):
        live_until(world, hours, every)
        fields = {"name": "sale"} if kind == "converted" else {}
        if kind == "clicked":
            fields["url"] = "https://example.com/a"
        if step:
            act(world, kind, step, lead, **fields)
        else:
            world.event(kind, email=f"u{lead}@example.com", **fields)
        world.tick()
    live_until(world, 100, every)
    found = replay(world.settings, "one")
    assert found.differences == []


def live_until(world, hours, every):
    """Tick when something is due, or every so many hours, until so long after the beginning."""
    end = MONDAY + timedelta(hours=hours)
    while world.now < end:
        due = world.tick().next_at
        step = timedelta(hours=every) if every else timedelta(seconds=1)
        wish = world.now + step if every else max(due or end, world.now + step)
        world.now = min(wish, end)
