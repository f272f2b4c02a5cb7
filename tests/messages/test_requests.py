"""What a webhook tells, and that nothing a lead says can change its shape."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.messages.compose import Letterhead
from pipeline.messages.render import RenderError
from pipeline.messages.requests import compose_webhook

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
