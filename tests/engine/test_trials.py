"""Tests of more than words: who writes, in which hours, by which channel, or not at all."""

from datetime import UTC, datetime, timedelta

import pytest

STEP = """  - id: {id}
    {after}channel: email
    subject: Hi
    body: templates/hello.md
    experiment:
      id: {id}_1
      control: x
      metric: replied
      window: 3d
      variants:
{variants}
"""


def step(variants, name="a", after=""):
    lines = "".join(f"        - {{{variant}}}\n" for variant in variants)
    return STEP.format(id=name, after=f"after: {after}\n    " if after else "", variants=lines)


def sent(world):
    return world.rows(
        "select a.arm, s.channel, s.sender, count(*) from sends as s "
        "inner join assignments as a on s.lead_id = a.unit_id and s.variant = a.arm "
        "group by all order by all"
    )


def write_second_sender(world):
    path = world.folder / "workspace.yml"
    more = '  boss: {channel: email, address: "Boss <boss@example.com>"}\n'
    text = path.read_text().replace("  text: {", more + "  text: {")
    path.write_text(text.replace("goals:", "default_senders: {email: sales}\ngoals:"))


def test_a_sender_is_content_and_writes_what_its_arm_gets(world):
    write_second_sender(world)
    world.sequence("one", step(["id: x", "id: y, sender: boss"]))
    world.leads(30)
    world.tick()
    found = sent(world)
    assert [row[:3] for row in found] == [("x", "email", "sales"), ("y", "email", "boss")]
    writers = sorted(str(m["From"].addresses[0].addr_spec) for m in world.mail())
    assert writers == ["ann@example.com"] * found[0][3] + ["boss@example.com"] * found[1][3]
    assert world.rows("select distinct varies from experiments") == [("content",)]


def test_a_channel_has_its_own_words_and_its_own_addresses(world):
    world.sequence("one", step(["id: x", 'id: y, channel: sms, text: "Hi {{ unsubscribe }}"']))
    world.leads(30)
    world.land(leads=[{"email": f"v{i}@example.com", "source": "ONE"} for i in range(20)])
    world.tick()
    found = sent(world)
    assert [row[:3] for row in found] == [("x", "email", "sales"), ("y", "sms", "text")]
    texts = [m for m in world.mail() if "sms.example.com" in str(m["To"])]
    assert len(texts) == found[1][3]
    without = world.rows(
        "select a.arm, w.reason, count(*) from why_outcomes as w "
        "inner join assignments as a using (enrollment_id) where w.outcome = 'skipped' group by all"
    )
    assert [row[:2] for row in without] == [("y", "no_address")]
    assert found[0][3] + found[1][3] + without[0][2] == 50


def test_a_suppressed_channel_stops_only_the_arm_that_uses_it(world):
    first = "  - {id: z, channel: email, subject: Hi, body: templates/hello.md}\n"
    world.sequence(
        "one",
        first + step(["id: x", 'id: y, channel: sms, text: "Hi {{ unsubscribe }}"'], "b", "1h"),
        head="react: {unsubscribed: continue}\n",
    )
    world.leads(30)
    world.tick()
    for number in range(30):
        world.event("unsubscribed", email=f"u{number}@example.com")
    world.tick(hours=1)
    found = dict(
        world.rows(
            "select a.arm, count(*) from why_outcomes as w inner join assignments as a "
            "using (enrollment_id) where w.reason = 'unsubscribed' group by all"
        )
    )
    assert set(found) == {"x"}
    assert sent(world) == [("y", "sms", "text", 30 - found["x"])]


def test_hours_of_an_arm_are_the_window_of_its_step_alone(world):
    steps = step(["id: x", 'id: y, hours: "20:00-22:00"']) + (
        "  - {id: c, after: 1h, channel: email, subject: Then, body: templates/hello.md}\n"
    )
    world.sequence("one", steps, calendar="")
    world.leads(30)
    start = world.now
    world.tick_until(start + timedelta(days=3))
    assert world.rows(
        "select variant, min(claimed_at), max(claimed_at) from sends where variant is not null "
        "group by all order by all"
    ) == [
        ("x", start, start),
        # 20:00 in New York; the step after it keeps the sequence's hours.
        ("y", datetime(2026, 1, 6, 1, 0, tzinfo=UTC), datetime(2026, 1, 6, 1, 0, tzinfo=UTC)),
    ]
    follow_ups = world.rows(
        "select claimed_at, count(*) from sends where variant is null group by all order by all"
    )
    assert [moment for moment, _ in follow_ups] == [
        start + timedelta(hours=1),
        datetime(2026, 1, 6, 14, 0, tzinfo=UTC),
    ]


def test_an_absent_step_is_skipped_when_it_would_go_out_and_the_flow_goes_on(world):
    steps = step(["id: x", "id: none, present: false"], after="1h") + (
        "  - {id: c, after: 1h, channel: email, subject: Then, body: templates/hello.md}\n"
    )
    world.sequence("one", steps)
    world.leads(30)
    world.tick()
    start = world.now
    drawn = world.rows("select arm, min(assigned_at), max(assigned_at) from assignments group by 1")
    assert sorted(drawn) == [("none", start, start), ("x", start, start)]
    world.tick(hours=1)
    reasons = dict(
        world.rows(
            "select arm, w.reason from why_outcomes as w inner join assignments using (enrollment_id)"
        )
    )
    assert reasons == {"x": None, "none": "experiment"}
    world.tick(hours=1)
    assert sum(m["Subject"] == "Then" for m in world.mail()) == 30
    assert world.rows("select distinct variant from sends order by 1") == [("x",), (None,)]


def test_a_condition_comes_before_absence_in_every_arm(world):
    steps = step(["id: x", "id: none, present: false"], after="1h").replace(
        "    channel: email\n", "    when: replied()\n    channel: email\n"
    )
    world.sequence("one", steps)
    world.leads(20)
    world.tick()
    world.tick(hours=1)
    assert world.rows("select distinct outcome, reason from why_outcomes") == [
        ("skipped", "condition")
    ]


@pytest.mark.parametrize("rest", ["id: none, present: false", 'id: y, hours: "08:00-10:00"'])
def test_what_is_drawn_before_the_step_is_drawn_at_enrollment_for_a_first_step(world, rest):
    world.sequence("one", step(["id: x", rest]), calendar="")
    world.now -= timedelta(hours=10)
    world.leads(10)
    world.tick()
    assert world.rows("select count(*), min(assigned_at) from assignments") == [(10, world.now)]
