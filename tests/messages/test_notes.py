"""Calls, WhatsApp messages, tasks and LinkedIn work as plain messages."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.messages.compose import Letterhead, Message
from pipeline.messages.notes import NOTE_CHANNELS, compose_note
from pipeline.messages.render import RenderError
from pipeline.sequences.model import Sender

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LETTERHEAD = Letterhead("https://t.example.com", "Acme Ltd, 1 Street", b"k" * 32)
ANN = {
    "first_name": "Ann",
    "last_name": "Lée",
    "email": "ann@example.net",
    "phone": "+155512345",
}


def note(
    channel: str,
    content: dict[str, Any],
    context: dict[str, Any] = ANN,
    *,
    gateway: str | None = None,
) -> Any:
    sender = Sender.model_validate(
        {"channel": channel, "address": "Bo <bo@acme.example>", "to": gateway}
    )
    message: Message = compose_note(
        7, channel, content, context, sender=sender, letterhead=LETTERHEAD, now=NOW
    )
    assert message.channel == channel
    parsed = message_from_bytes(message.data, policy=default)
    assert parsed["X-Channel"] == channel
    assert parsed["To"].addresses[0].addr_spec == message.to
    return parsed


def test_a_call_goes_to_the_gateway_with_its_script_and_number() -> None:
    call = note(
        "call",
        {"script": "Hi {{ first_name }}, this is {{ sender_name }}."},
        gateway="{{ phone }}@calls.example.com",
    )
    assert call["To"] == "+155512345@calls.example.com"
    assert call["X-Recipient"] == "+155512345"
    assert call["Subject"] == "Call Ann Lée"
    assert call.get_content().strip() == "Hi Ann, this is Bo."


def test_a_call_without_a_gateway_goes_to_the_sender_who_learns_whom_to_call() -> None:
    call = note("call", {"script": "Ask for the order."})
    assert call["To"].addresses[0].addr_spec == "bo@acme.example"
    lines = call.get_content().splitlines()
    assert lines[0] == "Ask for the order."
    assert lines[-3:] == ["Ann Lée", "ann@example.net", "+155512345"]


def test_whatsapp_carries_the_text_and_a_way_out_of_it() -> None:
    text = "Hello {{ first_name }}. {{ unsubscribe }}"
    message = note("whatsapp", {"text": text}, gateway="{{ phone }}@wa.example.com")
    assert message["To"] == "+155512345@wa.example.com"
    assert message.get_content().startswith("Hello Ann. https://t.example.com/u/")


def test_a_task_goes_to_its_assignee_and_may_have_no_note() -> None:
    task = note("task", {"title": "Check {{ first_name }}", "assignee": "Cy <cy@acme.example>"})
    assert task["To"] == "Cy <cy@acme.example>"
    assert task["Subject"] == "Check Ann"
    assert "X-Recipient" not in task
    assert "ann@example.net" in task.get_content()


def test_a_linkedin_text_is_work_for_the_sender() -> None:
    work = note("linkedin", {"text": "Nice talk, {{ first_name }}!"})
    assert work["To"].addresses[0].addr_spec == "bo@acme.example"
    assert work["Subject"] == "LinkedIn message to Ann Lée"
    assert work.get_content().startswith("Nice talk, Ann!")


@pytest.mark.parametrize("channel", ["call", "whatsapp", "linkedin"])
def test_an_empty_text_is_refused_by_name(channel: str) -> None:
    name = "script" if channel == "call" else "text"
    with pytest.raises(RenderError, match=f"the {name} is empty"):
        note(channel, {name: "{% if first_name == 'Bo' %}x{% endif %}"})


@given(st.sampled_from(NOTE_CHANNELS), st.text(max_size=30))
def test_no_name_of_a_lead_writes_a_header(channel: str, name: str) -> None:
    content = {"script": "a", "text": "a", "title": "t {{ first_name | default('') }}"}
    parsed = note(channel, content, {**ANN, "first_name": name + "\nBcc: all@example.com"})
    assert parsed["Bcc"] is None
