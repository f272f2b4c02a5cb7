"""`drip why`: what happened to one lead, in order, with reasons, and nothing of anybody else."""

import re
from datetime import timedelta

import pytest

from pipeline.engine.merging import merge_leads
from pipeline.engine.pauses import Target, pause, resume, resume_enrollment
from pipeline.engine.resolve import resolve
from pipeline.engine.stops import stop
from pipeline.engine.story import tell_story
from pipeline.inbound.landing import append_lines, format_instant
from pipeline.ledger.locks import hold_lock
from pipeline.settings import DripError

TWO = (
    "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
    "  - {id: b, after: 1h, channel: email, subject: Hi, body: templates/hello.md}\n"
)


def told(world, who="u0@example.com"):
    story = tell_story(world.settings, who)
    return [(row["topic"], row["what"], row["detail"], row["reason"]) for row in story]


def test_a_lead_from_its_first_day_to_its_last(world):
    world.sequence("one", TWO, head="goal: {event: converted, name: sale, within: 30d}\n")
    world.leads(2)
    world.tick()
    world.now += timedelta(minutes=5)
    agent = "Mozilla/5.0 (X11) Firefox/140.0"
    (send_id,) = world.rows(
        "select send_id from sends inner join identities using (lead_id) "
        "where email = 'u0@example.com'"
    )[0]
    world.event("clicked", send_id=send_id, url="https://example.com/a", agent=agent)
    world.tick_until(world.now + timedelta(hours=2))
    world.event("converted", name="sale", email="u0@example.com", value="12.50", currency="USD")
    world.tick()
    story = told(world)
    assert story[:4] == [
        ("lead", "created", "ONE", None),
        ("enrollment", "enrolled", "one", "rule"),
        ("step", "claimed", "one/a", ""),
        ("send", "handed_over", "one/a by email", None),
    ]
    assert story[4][:3] == ("event", "clicked", "https://example.com/a")
    assert ("send", "handed_over", "one/b by email", None) in story
    assert ("event", "converted sale", "12.5000 USD", "human") in story
    moments = [row["moment"] for row in tell_story(world.settings, "u0@example.com")]
    assert moments == sorted(moments)


def test_what_was_not_sent_tells_why(world):
    world.sequence("one", TWO.replace("after: 1h", "after: 1h, when: \"clicked('a')\""))
    world.leads(1)
    world.tick()
    world.tick(hours=1)
    assert ("step", "skipped", "one/b", "condition") in told(world)
    assert told(world)[-1] == ("enrollment", "completed", "one", None)


def test_a_postponed_step_tells_until_when(world):
    world.sequence("one", TWO, calendar='calendar: {hours: "20:00-21:00"}\n')
    world.leads(1, timezone="Europe/Berlin")
    world.tick()
    assert ("step", "postponed", "one/a", "window until 2026-01-05 19:00 UTC") in told(world)


def test_a_pause_and_its_end_and_a_suppression_are_part_of_it(world):
    world.sequence("one", TWO, head="react: {replied: pause}\n")
    world.leads(1)
    world.tick()
    world.now += timedelta(minutes=1)
    world.event("replied", send_id=1)
    world.tick()
    world.now += timedelta(minutes=1)
    resume_enrollment(world.settings, 1, world.now)
    world.now += timedelta(minutes=1)
    world.event("unsubscribed", send_id=1)
    world.tick()
    story = [(topic, what, reason) for topic, what, _, reason in told(world)]
    assert ("enrollment", "paused", "replied") in story
    assert ("enrollment", "resumed", "after 00:01:00") in story
    assert ("suppression", "suppressed", "unsubscribed") in story
    assert [what for topic, what, _ in story if topic == "enrollment"][:3] == [
        "enrolled", "paused", "resumed",
    ]  # fmt: skip


def test_an_arm_and_a_holdout_are_part_of_it(world):
    test = (
        "experiment: {id: s1, control: x, metric: replied, window: 7d, decide: {mode: open}, "
        "variants: [{id: x}, {id: y, subject: Ho}]}"
    )
    world.sequence(
        "one",
        f"  - {{id: a, channel: email, subject: Hi, body: templates/hello.md, {test}}}\n",
        head="enroll: {when: \"lead.source = 'ONE'\", holdout: 50%}\n",
    )
    world.leads(30)
    world.tick()
    stories = [told(world, f"u{i}@example.com") for i in range(30)]
    held = [s for s in stories if ("enrollment", "enrolled as holdout", "one", "rule") in s]
    assert 0 < len(held) < 30
    for story in held:
        assert ("experiment", "assigned to (holdout)", "s1", "hash") in story
        assert [what for topic, what, _, _ in story if topic == "step"] == ["held_out"]
    arms = set()
    for story in stories:
        for topic, what, detail, _ in story:
            if topic == "send":
                arm = re.fullmatch(r"one/a by email \((.)\)", detail)[1]
                assert what == "handed_over"
                assert ("experiment", f"assigned to {arm}", "s1", "hash") in story
                arms.add(arm)
    assert arms == {"x", "y"}


def test_a_lead_is_found_by_whatever_names_it(world):
    world.sequence("one", TWO)
    lead = {"email": "ada@example.com", "phone": "+15550100", "external_id": "crm 7"}
    world.land(leads=[{**lead, "source": "ONE"}])
    world.leads(2, source="TWO")
    world.tick()
    (lead_id,) = world.rows("select lead_id from identities where external_id = 'crm 7'")[0]
    story = tell_story(world.settings, "crm 7")
    for who in (
        str(lead_id),
        "ada@example.com",
        " ADA@Example.com ",
        "+1 555-0100",
    ):
        assert tell_story(world.settings, who) == story


@pytest.mark.parametrize(
    "who",
    ["nobody@example.com", "", "enrollment:99", "enrollment:x", f"enrollment:{10**30}", "12", "%"],
)
def test_whoever_is_not_there_is_named(world, who):
    world.leads(1)
    world.sequence("one", TWO)
    world.tick()
    with pytest.raises(DripError, match=r"No lead is called .*Give an id"):
        tell_story(world.settings, who)


def test_two_leads_of_one_name_are_told_apart_by_their_ids(world):
    world.sequence("one", TWO)
    world.land(leads=[{"email": "a@example.com", "external_id": "+15550100"}])
    world.land(leads=[{"email": "b@example.com", "phone": "+15550100"}])
    world.tick()
    ids = [str(row[0]) for row in world.rows("select lead_id from identities")]
    if len(ids) == 1:
        pytest.skip("one person")
    with pytest.raises(DripError, match="2 leads are called") as caught:
        tell_story(world.settings, "+15550100")
    assert all(lead_id in str(caught.value) for lead_id in ids)
    assert tell_story(world.settings, ids[0])


def test_pauses_of_the_sequence_and_of_everything_are_part_of_it_while_the_lead_is_in_it(world):
    world.sequence("one", TWO)
    world.leads(1)
    world.tick()
    world.now += timedelta(minutes=1)
    pause(world.settings, Target("sequence", "one"), world.now, "holidays")
    world.now += timedelta(hours=30)
    resume(world.settings, Target("sequence", "one"), world.now)
    world.tick_until(world.now + timedelta(hours=3))
    world.now += timedelta(hours=1)
    pause(world.settings, Target("everything"), world.now)  # nobody is in it any more
    story = told(world)
    assert ("pause", "sequence paused", "one", "holidays") in story
    assert ("pause", "sequence resumed", "one", "after 1 day 06:00:00") in story
    assert not [row for row in story if "everything" in row[1]]


def test_an_enrollment_tells_its_own_story_and_no_other_of_its_lead(world):
    world.sequence("one", TWO)
    world.sequence("two", TWO, head="enroll: {when: \"lead.source = 'ONE'\"}\n")
    world.leads(1)
    world.event("custom", name="before", email="u0@example.com")
    world.tick(seconds=60)
    world.now += timedelta(minutes=5)
    sends = dict(
        world.rows(
            "select q.sequence_id, d.send_id from sends as d "
            "inner join sequence_versions as q on d.version_id = q.version_id"
        )
    )
    world.event("delivered", send_id=sends["one"])
    world.event("opened", send_id=sends["two"], agent="Mozilla/5.0 (X11) Firefox/140.0")
    world.event("meeting_booked", email="u0@example.com")
    world.tick()
    numbers = dict(world.rows("select sequence_id, enrollment_id from enrollments"))
    whole = told(world)
    for own, other in (("one", "two"), ("two", "one")):
        story = told(world, f"enrollment:{numbers[own]}")
        assert ("enrollment", "enrolled", own, "rule") in story
        assert ("send", "handed_over", f"{own}/a by email", None) in story
        assert [row for row in whole if row[2].startswith(own)] == [
            row for row in story if row[2].startswith(own)
        ]
        assert not [row for row in story if row[2].startswith(other)]
        kinds = {what for topic, what, _, _ in story if topic == "event"}
        assert kinds == {"meeting_booked", "delivered" if own == "one" else "opened"}


def test_what_an_operator_stopped_resolved_and_merged_stands_in_rows_of_its_own(world):
    world.sequence("one", TWO)
    world.leads(3)
    world.tick()
    world.now += timedelta(minutes=5)
    merge_leads(
        world.settings, "u0@example.com", "u1@example.com", world.now, by="Ann", is_applied=True
    )
    (gone,) = world.rows("select lead_id from merged_leads")[0]
    story = told(world)
    assert ("lead", "merged", f"lead {gone} into this one", "by Ann") in story
    assert ("enrollment", "exited", "one", "merged") in story
    world.now += timedelta(minutes=5)
    (number,) = world.rows("select min(enrollment_id) from live")[0]
    stop(world.settings, Target("enrollment", str(number)), world.now)
    world.now += timedelta(minutes=5)
    stop(world.settings, Target("sequence", "one"), world.now)
    stories = told(world) + told(world, "u2@example.com")
    stops = [row for row in stories if row[0] == "operator"]
    assert sorted(stops) == [
        ("operator", "stopped enrollment", str(number), "1 ended"),
        ("operator", "stopped sequence", "one", "1 ended"),
    ]


@pytest.mark.parametrize(
    ("is_sent", "result"), [(True, "handed_over"), (False, "withdrawn, due again")]
)
def test_a_send_that_a_person_settled_is_told_when_it_was_settled(world, is_sent, result):
    world.sequence("one", TWO)
    world.leads(1)
    with hold_lock(world.home / "dispatch.lock"):
        world.tick()
    begin = {"begin": 1, "attempt": 1, "at": format_instant(world.now)}
    append_lines(world.home, "journal", [begin], world.now)
    world.tick()
    world.now += timedelta(minutes=5)
    resolve(world.settings, 1, world.now, is_sent=is_sent)
    rows = [row for row in tell_story(world.settings, "enrollment:1") if row["topic"] == "operator"]
    assert [list(row.values()) for row in rows] == [
        [world.now, "operator", "resolved", "one/a by email", result]
    ]


def test_the_hours_that_were_drawn_are_part_of_it_with_their_share_and_scores(world):
    hours = 'calendar: {hours: "09:00-17:00", preferred_hours: true}\n'
    world.sequence("one", TWO, calendar=hours)
    world.publish_hours({(day, n): float(n == 3) for day in range(7) for n in range(6)})
    world.leads(1, timezone="America/New_York")
    world.tick()
    assert told(world)[2:4] == [
        (
            "step",
            "drawn for 12:00-16:00",
            "one/a",
            "preferred_hours: 90.0 % of such messages, by the scores of 2026-01-04 12:00 UTC",
        ),
        ("step", "postponed", "one/a", "preferred_hours until 2026-01-05 17:00 UTC"),
    ]
