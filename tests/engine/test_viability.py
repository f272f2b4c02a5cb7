"""Channel best: the first channel that can reach the lead, and no way around an opt-out (R20)."""

import pytest

from pipeline.engine.viability import channel_for
from pipeline.sequences.compiled import CompiledStep

BEST = "  - {id: a, channel: best, subject: Hi, body: templates/hello.md, text: Short, script: Say%s}\n"
STEP = CompiledStep(
    0, "a", "best", channel="best", options=(("email", "sales"), ("sms", "text"), ("call", "call"))
)


@pytest.fixture
def world(world):
    """Somebody who calls."""
    workspace = world.folder / "workspace.yml"
    more = '  call: {channel: call, address: "Bo <call@example.com>"}\n'
    workspace.write_text(workspace.read_text().replace("goals:", more + "goals:"))
    return world


@pytest.mark.parametrize(
    ("address", "chosen"),
    [
        pytest.param({"email": "a@b.c", "phone": "+1"}, ("email", "sales"), id="both"),
        pytest.param({"email": None, "phone": "+1"}, ("sms", "text"), id="phone"),
        pytest.param({"email": None, "phone": None}, ("email", "sales"), id="none"),
    ],
)
def test_the_first_channel_with_an_address_is_chosen(address, chosen):
    assert channel_for(STEP, address) == chosen


def test_each_lead_is_reached_on_its_best_channel(world):
    world.sequence("one", BEST % "")
    world.leads(2)
    world.land(leads=[{"phone": "+15550199999", "source": "ONE"}])
    assert world.tick().counts["handed_over"] == 3
    assert world.rows("select channel, sender, count(*) from sends group by all order by all") == [
        ("email", "sales", 2),
        ("sms", "text", 1),
    ]
    texts = {m["To"].addresses[0].domain: m for m in world.mail()}
    assert texts["sms.example.com"].get_content().strip() == "Short"
    assert texts["example.com"]["Subject"] == "Hi"


def test_who_left_the_best_channel_is_not_reached_on_another(world):
    first = "  - {id: m, channel: email, subject: Hi, body: templates/hello.md}\n"
    world.sequence("one", first + BEST % ", after: 1h", "react: {unsubscribed: continue}\n")
    world.leads(1)
    world.tick()
    world.event("unsubscribed", send_id=1)
    world.tick(hours=1)
    assert world.rows("select outcome, reason from why_outcomes order by planned_at") == [
        ("sent", None),
        ("skipped", "unsubscribed"),
    ]


def test_a_lead_that_cannot_be_reached_at_all_is_skipped(world):
    world.sequence("one", BEST % "")
    world.land(leads=[{"external_id": "x", "source": "ONE"}])
    world.tick()
    assert world.rows("select outcome, reason from why_outcomes") == [("skipped", "no_address")]


def test_a_claim_that_waited_keeps_its_channel(world):
    world.sequence("one", BEST % "")
    world.land(leads=[{"external_id": "x", "phone": "+15550199999", "source": "ONE"}])
    (world.home / "STOP").touch()
    world.tick()
    (world.home / "STOP").unlink()
    world.tick()
    assert world.rows("select channel from sends") == [("sms",)]
