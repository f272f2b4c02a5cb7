"""A lead names a moment, and is called then: once, by the same send, and never in the way of what follows."""

from datetime import timedelta

import pytest

from pipeline.engine import tick as tick_module

CALL = "  - {id: c, channel: call, script: Hello%s}\n"
MAIL = "  - {id: m, channel: email, subject: Hi, body: templates/hello.md, after: 3d}\n"
OFFICE = 'calendar: {days: [mon, tue, wed, thu, fri], hours: "09:00-17:00"}\n'


@pytest.fixture
def world(world):
    """A sender of calls."""
    workspace = world.folder / "workspace.yml"
    caller = '  caller: {channel: call, address: "Bo <bo@example.com>"}\n'
    workspace.write_text(workspace.read_text().replace("goals:", caller + "goals:"))
    return world


def call(world, steps=CALL % "" + MAIL, **options):
    """Call one lead; two hours later it asks for another call."""
    world.sequence("one", steps, **options)
    world.leads(1)
    world.tick()
    world.now += timedelta(hours=2)


def ask(world, hours, **fields):
    moment = world.now + timedelta(hours=hours)
    world.event("callback_requested", callback_at=moment.isoformat(), **({"send_id": 1} | fields))
    return moment


def told(world):
    return world.rows(
        "select step_id, w.outcome, w.reason from why_outcomes as w "
        "inner join steps using (version_id, step_ix) order by w.planned_at, step_ix"
    )


def calls(world):
    return [mail for mail in world.mail() if mail["X-Channel"] == "call"]


def test_a_lead_is_called_again_at_the_moment_it_names(world):
    call(world)
    moment = ask(world, 20)
    assert world.tick().next_at == moment
    world.tick(hours=19.9)
    assert len(calls(world)) == 1
    world.tick(hours=0.1)
    assert len(calls(world)) == 2
    assert told(world) == [("c", "sent", None), ("c", "sent", None)]
    assert world.rows("select send_id, attempts, status from send_status") == [
        (1, 2, "handed_over")
    ]


def test_what_follows_counts_from_the_second_call(world):
    call(world)
    ask(world, 20)
    world.tick()
    world.tick(hours=20)
    called = world.now
    assert world.tick().next_at == called + timedelta(days=3)
    world.tick(days=3)
    assert told(world)[-1] == ("m", "sent", None)


def test_a_call_is_opened_again_once(world):
    call(world)
    first = ask(world, 20)
    ask(world, 30)
    world.tick()
    assert world.rows("select due_at from live") == [(first,)]
    ask(world, 25)
    world.tick()
    assert world.rows("select due_at from live") == [(first,)]
    world.tick(hours=20)
    ask(world, 5)
    world.tick()
    world.tick(hours=6)
    assert len(calls(world)) == 2


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"send_id": None, "email": "u0@example.com"}, id="by address"),
        pytest.param({"send_id": None, "phone": "+15550100000"}, id="by phone"),
    ],
)
def test_a_request_known_by_address_only_is_heard_too(world, fields):
    call(world)
    ask(world, 20, **{name: value for name, value in fields.items() if value})
    world.tick()
    world.tick(hours=20)
    assert len(calls(world)) == 2


def test_a_moment_that_has_passed_is_now(world):
    call(world, calendar=OFFICE)
    ask(world, -5)
    world.tick()
    assert len(calls(world)) == 2


def test_the_calendar_holds_for_the_second_call(world):
    call(world, calendar=OFFICE)
    ask(world, 7)  # 19:00 in New York
    world.tick()
    world.tick(hours=7)
    assert told(world)[-1] == ("c", "postponed", "window")
    world.tick(hours=14)
    assert told(world)[-1] == ("c", "sent", None)


def test_a_call_after_which_something_was_settled_stays_as_it_was(world):
    call(world, CALL % "" + MAIL.replace("3d", "1h") + MAIL.replace("id: m", "id: n"))
    world.tick()
    assert told(world)[-1] == ("m", "sent", None)
    ask(world, 20)
    world.tick()
    world.tick(hours=20)
    assert len(calls(world)) == 1


def test_a_request_without_a_moment_or_before_any_call_changes_nothing(world):
    world.sequence("one", CALL % ", after: 1h" + MAIL)
    world.leads(1)
    world.tick()
    ask(world, 20, send_id=9, email="u0@example.com")
    world.tick()
    world.tick(hours=1)
    world.event("callback_requested", send_id=1)
    world.tick(hours=1)
    world.tick(hours=20)
    assert len(calls(world)) == 1


def test_a_second_call_is_a_contact_for_limits(world):
    call(world, CALL % "" + MAIL, head="limits: {per_lead: 2}\n")
    ask(world, 20)
    world.tick()
    world.tick(hours=20)
    world.tick(days=4)
    assert told(world) == [
        ("c", "sent", None),
        ("c", "sent", None),
        ("m", "skipped", "lead_cap"),
    ]


def test_who_has_left_is_not_called_again(world):
    call(world)
    ask(world, 20)
    world.event("replied", send_id=1)
    world.tick()
    world.tick(hours=20)
    assert len(calls(world)) == 1


@pytest.mark.parametrize(
    ("moment", "words"),
    [("tomorrow", "not a possible"), ("2031-01-01T00:00:00Z", "more than a year")],
)
def test_a_moment_that_cannot_be_is_put_aside(world, moment, words):
    call(world)
    world.event("callback_requested", send_id=1, callback_at=moment)
    world.tick()
    assert words in world.rows("select reason from rejected")[0][0]


def test_a_step_before_in_the_same_tick_is_no_step_after(world):
    first = "  - {id: a, channel: email, subject: Hi, body: templates/hello.md}\n"
    call(world, first + CALL % "" + MAIL)
    ask(world, 20, send_id=2)
    world.tick()
    world.tick(hours=20)
    assert len(calls(world)) == 2


def test_a_second_call_that_is_not_made_leaves_the_first_as_it_was(world):
    """Taken back at the last moment: the first call was made, and counts for the limit of the day."""
    call(world, CALL % "" + MAIL, head="limits: {lead_per_week: 2}\n")
    ask(world, 20)
    world.tick()
    world.tick(hours=19)
    world.now += timedelta(hours=1)
    plain, taken = tick_module.Run._take_chunk, []

    def overtaken(run, con, now):
        if not taken and con.execute("from live where status = 'in_flight'").fetchall():
            taken.append(now)
            con.execute("update live set is_paused = true")
        plain(run, con, now)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tick_module.Run, "_take_chunk", overtaken)
        world.tick()
    assert taken
    assert world.rows("select status, reason, attempts from send_status") == [
        ("handed_over", None, 2)
    ]
    assert world.rows("select count(*) from contacts_since('2026-01-01'::timestamptz)") == [(1,)]
    assert [outcome for _, outcome, _ in told(world)] == ["sent", "postponed"]
