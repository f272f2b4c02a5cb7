"""What webhooks and forms tell, and that nothing a lead says can change their shape."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.messages.compose import Letterhead
from pipeline.messages.render import RenderError
from pipeline.messages.requests import compose_form, compose_webhook
from pipeline.sequences.model import Sender

NOW = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
LETTERHEAD = Letterhead("https://t.example", "1 Road", b"k" * 32)


def told(content, context, send_id=7):
    message = compose_webhook(send_id, content, context, letterhead=LETTERHEAD, now=NOW)
    assert (message.message_id, message.channel) == (str(send_id), "webhook")
    return json.loads(message.data)


def payload_of(templates, context):
    content = {"step": "tell", "payload": json.dumps(templates)}
    return told(content, context)["data"]["payload"]


def test_a_webhook_tells_step_moment_and_send():
    assert told({"step": "tell"}, {"email": "ann@example.com", "plan": "x"}) == {
        "type": "step.tell",
        "timestamp": "2026-01-05T15:00:00.000+00:00",
        "data": {"send_id": 7, "payload": {"email": "ann@example.com"}},
    }


def test_a_payload_tells_what_it_names_and_nothing_else():
    templates = {"who": "{{ first_name }}!", "coupon": "SPRING"}
    context = {"first_name": "Ann", "email": "ann@example.com"}
    assert payload_of(templates, context) == {"who": "Ann!", "coupon": "SPRING"}


def test_a_payload_may_carry_the_way_out():
    link = payload_of({"out": "{{ unsubscribe }}"}, {})["out"]
    assert link.startswith("https://t.example/u/")


def test_a_value_that_is_missing_is_refused_by_name():
    with pytest.raises(RenderError, match=r"payload\.who.*first_name"):
        payload_of({"who": "{{ first_name }}"}, {"email": "ann@example.com"})


@given(st.text().filter(str.strip))
def test_nothing_a_lead_says_changes_the_shape(name):
    found = payload_of({"who": "{{ first_name }}", "last": "x"}, {"first_name": name})
    assert set(found) == {"who", "last"}
    assert found["who"] == name.strip().encode("utf-8", "replace").decode()


def fields_of(templates, context, **sender):
    message = compose_form(
        7,
        {"payload": json.dumps(templates)},
        context,
        sender=Sender(channel="form", **sender),
        letterhead=LETTERHEAD,
    )
    assert (message.channel, message.to, message.message_id) == ("form", "", "")
    return parse_qsl(message.data.decode("ascii"), keep_blank_values=True, strict_parsing=True)


def test_a_form_has_the_fields_of_its_payload_in_their_order():
    templates = {"your-name": "{{ first_name }}", "Größe [cm]": "1 & 2 = 3\nx", "note": ""}
    assert fields_of(templates, {"first_name": "Ann", "email": "ann@example.com"}) == [
        ("your-name", "Ann"),
        ("Größe [cm]", "1 & 2 = 3\nx"),
        ("note", ""),
    ]


def test_a_form_may_carry_who_fills_it_in_and_the_way_out():
    templates = {"from": "{{ sender_name }}", "out": "{{ unsubscribe }}"}
    (who, out) = fields_of(templates, {}, address="Ann Lee <ann@example.com>")
    assert who == ("from", "Ann Lee")
    assert out[1].startswith("https://t.example/u/")
    with pytest.raises(RenderError, match=r"payload\.from.*sender_name"):
        fields_of(templates, {})


@given(st.text(st.characters(), min_size=1).filter(str.strip))
def test_nothing_a_lead_says_changes_the_fields_of_a_form(name):
    found = fields_of({"who": "{{ first_name }}", "last": "x"}, {"first_name": name})
    assert found == [
        ("who", name.strip().encode("utf-8", "replace").decode()),
        ("last", "x"),
    ]
