"""What an answer does: next steps, retries, refusals, unknowns, withdrawals."""

import json
from datetime import timedelta

import pytest

from pipeline.ledger.locks import hold_lock

TWO = (
    "  - {id: a, channel: email, subject: Hi, body: templates/hello.md%s}\n"
    "  - {id: b, after: 1h, channel: email, subject: Hi, body: templates/hello.md}\n"
)


def claim_without_dispatch(world):
    """Plan as a tick beside a running dispatcher does, so that claims stay in flight."""
    with hold_lock(world.home / "dispatch.lock"):
        return world.tick()


def journal(world, *entries):
    path = world.home / "landing" / f"journal-20260105T150000-{len(entries):08x}.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def moment(world):
    return world.now.isoformat()


def test_a_begin_without_an_end_is_unknown_and_never_sent_again(world):
    world.sequence("one", TWO % "")
    world.leads(2)
    assert not claim_without_dispatch(world).is_dispatcher
    journal(world, {"begin": 1, "attempt": 1, "at": moment(world)})
    world.tick()
    assert world.rows("select status from send_status order by send_id") == [
        ("unknown",),
        ("handed_over",),
    ]
    assert len(world.mail()) == 1
    world.tick(hours=1)  # an unknown one counts as contacted: the flow goes on
    assert len(world.mail()) == 3


def test_a_claim_that_was_not_begun_is_handed_over_by_the_next_tick(world):
    world.sequence("one", TWO % "")
    world.leads(2)
    claim_without_dispatch(world)
    assert world.rows("select status from live") == [("in_flight",)] * 2
    world.tick()
    assert len(world.mail()) == 2
    assert world.rows("select count(*) from sends") == [(2,)]


@pytest.mark.parametrize(
    ("reason", "minutes"),
    [pytest.param("no connection", 1, id="before-body"), pytest.param("451 later", 5, id="4xx")],
)
def test_a_temporary_refusal_is_tried_again_after_its_backoff(world, reason, minutes):
    world.sequence("one", TWO % "")
    world.leads(1)
    claim_without_dispatch(world)
    end = {"end": 1, "attempt": 1, "at": moment(world), "status": "retry", "reason": reason}
    journal(world, end)
    report = world.tick()
    assert report.next_at == world.now + timedelta(minutes=minutes)
    assert world.rows("select outcome from why_outcomes") == [("in_flight",)]
    world.now = report.next_at
    world.tick()
    assert len(world.mail()) == 1
    # The words of the first refusal are not those of the second answer.
    assert world.rows("select outcome, reason from why_outcomes") == [("sent", None)]
    assert world.rows("select status, reason from send_status") == [("handed_over", None)]


@pytest.mark.parametrize(
    ("then", "mails"), [pytest.param("skip", 1, id="skip"), pytest.param("exit", 0, id="exit")]
)
def test_after_the_last_attempt_it_is_refused_and_the_flow_goes_on_or_ends(world, then, mails):
    world.sequence("one", TWO % f", retry: {{attempts: 1, backoff: 1m, then: {then}}}")
    world.leads(1)
    claim_without_dispatch(world)
    journal(
        world,
        {"end": 1, "attempt": 1, "at": moment(world), "status": "retry", "reason": "no connection"},
    )
    world.tick()
    assert world.rows("select outcome from why_outcomes") == [("refused",)]
    world.tick(hours=1)
    assert len(world.mail()) == mails


def test_an_answer_read_twice_settles_once(world):
    world.sequence("one", TWO % "")
    world.leads(1)
    claim_without_dispatch(world)
    end = {"end": 1, "attempt": 1, "at": moment(world), "status": "handed_over"}
    journal(world, {"begin": 1, "attempt": 1, "at": moment(world)}, end, end)
    world.tick()
    assert world.rows("select count(*) from enrollment_ends") == [(0,)]
    assert world.rows("select step_ix, status from live") == [(1, "waiting")]


def test_an_event_between_claim_and_hand_over_withdraws_the_claim(world):
    world.sequence("one", TWO % "")
    world.leads(3)
    claim_without_dispatch(world)
    world.event("replied", email="u0@example.com")
    world.event("unsubscribed", email="u1@example.com", key="u")
    world.tick()
    assert len(world.mail()) == 1
    rows = world.rows(
        "select outcome, reason from why_outcomes where outcome != 'sent' order by all"
    )
    # the default reaction to an unsubscribe ends the enrollment as well
    assert rows == [("skipped", "ended")] * 2


def test_a_sequence_paused_after_the_claim_keeps_the_step_for_later(world):
    world.sequence("one", TWO % "")
    world.leads(1)
    claim_without_dispatch(world)
    world.sequence("one", TWO % "", head="status: paused\n")
    world.tick()
    assert world.mail() == []
    assert world.rows("select outcome, reason from why_outcomes") == [("postponed", "paused")]
    world.sequence("one", TWO % "")
    world.tick(seconds=60)
    assert len(world.mail()) == 1
    assert world.rows("select count(*) from sends") == [(1,)]


def test_a_bounce_that_is_read_when_its_pause_is_over_holds_nothing_up(world):
    react = "react: {bounced: {do: pause, resume_after: 30m}}\n"
    world.sequence("one", TWO % "", react)
    world.leads(1)
    claim_without_dispatch(world)
    end = {"end": 1, "attempt": 1, "at": moment(world), "status": "refused"}
    journal(world, end | {"reason": "550 5.1.1 No such user"})
    # Nobody else's messages bring another round of this tick.
    world.tick(hours=2)
    paused_at = world.now - timedelta(hours=2)
    assert world.rows("select paused_at, resumed_at from enrollment_pauses") == [
        (paused_at, paused_at + timedelta(minutes=30))
    ]
    assert world.rows("select outcome, reason from why where step_ix = 1") == [
        ("skipped", "bounced")
    ]
