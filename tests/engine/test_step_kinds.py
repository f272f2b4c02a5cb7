"""Every kind of step on its way through the engine: who is asked for, what counts, what leaves."""

from datetime import timedelta

import pytest

MAIL = "  - {id: %s, channel: email, subject: Hi, body: templates/hello.md%s}\n"
CALL = "  - {id: %s, channel: call, script: 'Hi {{ first_name | default(1) }}'%s}\n"
TASK = "  - {id: %s, channel: task, title: 'See {{ email }}'%s}\n"


def step(form, name, rest=""):
    return form % (name, f", {rest}" if rest else "")


@pytest.fixture
def world(world):
    """All senders."""
    workspace = world.folder / "workspace.yml"
    text = workspace.read_text()
    more = "".join(
        f'  {channel}: {{channel: {channel}, address: "Bo <{channel}@example.com>"}}\n'
        for channel in ("call", "whatsapp", "task", "linkedin")
    )
    workspace.write_text(text.replace("goals:", more + "goals:"))
    return world


def outcomes(world):
    return world.rows(
        "select step_id, w.outcome, w.reason from why_outcomes as w "
        "inner join steps using (version_id, step_ix) order by w.planned_at, step_ix, w.outcome"
    )


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("channel: call, script: Hello you", id="call"),
        pytest.param("channel: whatsapp, text: Hello you", id="whatsapp"),
        pytest.param("channel: task, title: Look, note: Hello you", id="task"),
        pytest.param("channel: linkedin, text: Hello you", id="linkedin"),
    ],
)
def test_a_step_of_every_kind_leaves_as_a_message(world, line):
    world.sequence("one", f"  - {{id: a, {line}}}\n")
    world.leads(1)
    assert world.tick().counts["handed_over"] == 1
    (message,) = world.mail()
    channel = line.split(",")[0].removeprefix("channel: ")
    assert message["X-Channel"] == channel
    assert "Hello you" in message.get_content()
    assert world.rows("select channel, sender from sends") == [(channel, channel)]
    assert world.rows("select status from enrollment_ends") == [("completed",)]


@pytest.mark.parametrize("channel", ["call", "whatsapp"])
def test_what_needs_a_phone_skips_leads_without_one_and_a_task_does_not(world, channel):
    text = "script" if channel == "call" else "text"
    world.sequence("one", f"  - {{id: a, channel: {channel}, {text}: Hi}}\n" + step(TASK, "b"))
    world.leads(1, phone=None)
    world.tick()
    assert outcomes(world) == [("a", "skipped", "no_address"), ("b", "sent", None)]


def test_calls_are_contacts_and_tasks_are_not(world):
    head = "limits: {per_lead: 2}\n"
    steps = step(TASK, "t1") + step(CALL, "c") + step(TASK, "t2") + step(MAIL, "m")
    world.sequence("one", steps, head)
    world.leads(1)
    world.tick()
    assert outcomes(world) == [(name, "sent", None) for name in ("t1", "c", "t2", "m")]


def test_a_daily_limit_is_used_up_by_contacts_only(world):
    world.sequence("one", step(TASK, "t") + step(MAIL, "m"), "limits: {per_day: 2}\n")
    world.leads(3)
    world.tick()
    told = world.rows("select channel, count(*) from sends group by all order by all")
    assert told == [("email", 2), ("task", 3)]
    world.tick(days=1)
    told = world.rows("select channel, count(*) from sends group by all order by all")
    assert told == [("email", 3), ("task", 3)]


def test_who_left_one_channel_is_still_called_on_another(world):
    world.sequence(
        "one",
        step(MAIL, "m") + step(MAIL, "n", "after: 1h") + step(CALL, "c"),
        "react: {unsubscribed: continue}\n",
    )
    world.leads(1)
    world.tick()
    world.event("unsubscribed", send_id=1)
    world.tick(hours=1)
    assert outcomes(world)[1:] == [("n", "skipped", "unsubscribed"), ("c", "sent", None)]


def test_a_wait_takes_its_time_and_no_window(world):
    world.sequence("one", step(MAIL, "a") + "  - {id: w, wait: 3d}\n" + step(MAIL, "b"))
    world.leads(1)
    world.tick()
    sent_at = world.now
    assert world.tick(days=2, hours=23).counts == {}
    report = world.tick(hours=2)  # the wait is settled at its due time, an hour ago
    assert report.counts["handed_over"] == 1
    assert world.rows("select slot_at from sends where step_ix = 2") == [
        (sent_at + timedelta(days=3),)
    ]
    assert outcomes(world) == [("a", "sent", None), ("b", "sent", None)]
