"""`drip preview`: the message as a lead would get it, and no trace of having looked."""

import json
from pathlib import Path

import pytest

from pipeline.engine.preview import preview_step
from pipeline.settings import DripError

SUBJECT = "Hi {{ first_name | default('you') }}"
MAIL = f'  - {{id: a, channel: email, subject: "{SUBJECT}", body: templates/hello.md%s}}\n'
TEXT = '  - {id: t, after: 1h, channel: sms, text: "Hi, reply STOP to end: {{ unsubscribe }}"}\n'
TEST = (
    ", experiment: {id: s1, control: x, metric: replied, window: 7d, decide: {mode: open}, "
    "variants: [{id: x}, {id: y, subject: Other}]}"
)


def look(world, step="a", lead=None, variant=None, sequence="one"):
    return preview_step(world.settings, sequence, step, lead=lead, variant=variant, now=world.now)


def test_without_a_lead_an_example_shows_every_field_filled(world):
    world.sequence("one", MAIL % "" + TEXT)
    found = look(world)
    headers = dict(found["headers"])
    assert headers["Subject"] == "Hi Jordan"
    assert "Hello Jordan" in found["text"]
    assert "https://example.com/a" in found["html"]
    page = Path(found["page"])
    assert page.parent == world.home / "previews"
    assert "Hi Jordan" in page.read_text()


def test_a_lead_of_the_ledger_gets_its_own_words(world):
    world.sequence("one", MAIL % "")
    world.leads(1, first_name="Ada")
    world.tick()
    found = look(world, lead="u0@example.com")
    headers = dict(found["headers"])
    assert headers["Subject"] == "Hi Ada"
    assert "u0@example.com" in headers["To"]
    assert "Hello Ada" in found["text"]


def test_a_lead_of_the_ledger_gets_what_came_with_its_enrollment(world):
    world.sequence("one", (MAIL % "").replace("first_name", "context.offer"))
    world.leads(1, source="NONE")
    request = {"kind": "enroll", "sequence": "one", "lead": {"email": "u0@example.com"}}
    world.land(source="operator", commands=[request | {"context": {"offer": "spring"}}])
    world.tick()
    assert dict(look(world, lead="u0@example.com")["headers"])["Subject"] == "Hi spring"


def test_looking_leaves_no_trace_in_the_ledger_and_sends_nothing(world):
    world.sequence("one", MAIL % "")
    world.leads(1)
    world.tick()
    mail = len(world.mail())

    def facts():
        landed = sorted(path.read_bytes() for path in (world.home / "landing").iterdir())
        return world.rows("from why"), world.rows("from sends"), world.rows("from live"), landed

    before = facts()
    look(world, lead="u0@example.com")
    assert facts() == before
    assert len(world.mail()) == mail


def test_links_lead_to_their_targets_and_no_pixel_counts_the_look(world):
    world.sequence("one", MAIL % "")
    found = look(world)
    assert "/c/" not in found["html"]
    assert "/o/" not in found["html"]


def test_each_arm_has_its_own_message(world):
    world.sequence("one", MAIL % TEST)
    assert dict(look(world)["headers"])["Subject"] == "Hi Jordan"
    assert dict(look(world, variant="x")["headers"])["Subject"] == "Hi Jordan"
    assert dict(look(world, variant="y")["headers"])["Subject"] == "Other"


def test_a_text_message_goes_to_the_gateway(world):
    world.sequence("one", MAIL % "" + TEXT)
    found = look(world, step="t")
    assert "+15550100000@sms.example.com" in dict(found["headers"])["To"]
    assert "reply STOP" in found["text"]


def test_a_draft_can_be_looked_at(world):
    world.sequence("one", MAIL % "", head="status: draft\n")
    assert "Hello Jordan" in look(world)["text"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        pytest.param({"sequence": "nine"}, "no sequence 'nine'. Sequences: one", id="sequence"),
        pytest.param({"step": "z"}, "no message step 'z'. Steps: a, t", id="step"),
        pytest.param({"variant": "q"}, "no arm 'q'; arms: x, y", id="arm"),
        pytest.param({"step": "t", "variant": "q"}, "no arm 'q'; arms: none", id="no-arms"),
        pytest.param({"lead": "nobody"}, "No lead is called 'nobody'", id="lead"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(world, asked, told):
    world.sequence("one", MAIL % TEST + TEXT)
    with pytest.raises(DripError) as caught:
        look(world, **asked)
    assert told in str(caught.value)


def test_a_lead_without_a_field_that_the_template_needs_is_told_which(world):
    world.sequence("one", MAIL % "")
    (world.folder / "templates" / "hello.md").write_text("Hello {{ last_name }}.")
    world.leads(1)
    world.tick()
    with pytest.raises(DripError, match="last_name"):
        look(world, lead="u0@example.com")


def test_a_webhook_is_shown_as_what_it_tells(world):
    workspace = world.folder / "workspace.yml"
    text = workspace.read_text().replace(
        "goals:", "  hook: {channel: webhook, transport: h}\ngoals:"
    )
    way = "transports: {h: {kind: http, url: https://a.example/in}, maildir: {kind: maildir}}\n"
    workspace.write_text(text + way)
    world.sequence("one", "  - {id: w, channel: webhook, payload: {who: '{{ email }}'}}\n")
    found = look(world, "w")
    assert json.loads(found["text"])["data"]["payload"] == {"who": "jordan@example.com"}
    assert found["warnings"] == []


def test_a_form_is_shown_field_by_field_with_what_it_lacks(world):
    workspace = world.folder / "workspace.yml"
    text = workspace.read_text().replace("goals:", "  site: {channel: form, transport: h}\ngoals:")
    way = "transports: {h: {kind: http, url: https://a.example/in}, maildir: {kind: maildir}}\n"
    workspace.write_text(text + way)
    fields = "{who: '{{ email }}', fax: ~, ok: true, text: \"Hello,\\nyou & I\"}"
    world.sequence("one", f"  - {{id: f, channel: form, payload: {fields}}}\n")
    found = look(world, "f")
    assert found["text"] == "who: jordan@example.com\nok: true\ntext: Hello,\n    you & I"
    assert found["headers"] == [("Content-Type", "application/x-www-form-urlencoded")]
    assert found["warnings"] == ["The text shows no way to unsubscribe. Add {{ unsubscribe }}."]
    world.sequence("one", "  - {id: f, channel: form, payload: {out: '{{ unsubscribe }}'}}\n")
    assert look(world, "f")["warnings"] == []
