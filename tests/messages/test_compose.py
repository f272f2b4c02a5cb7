"""From content, lead and sender to one message."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.messages.compose import (
    Letterhead,
    Message,
    compose_email,
    compose_sms,
    lead_context,
)
from pipeline.messages.mime import InvalidAddress
from pipeline.messages.render import RenderError
from pipeline.settings import DripError

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LETTERHEAD = Letterhead("https://t.example.com", "Acme Ltd, 1 Street", b"k" * 32)
CONTENT = {
    "subject": "Hi {{ first_name | default('there') }}",
    "body": "templates/welcome.md",
    "body_text": "Hi {{ first_name | default('there') }},\n\n[Book](https://a.b/c) with {{ company "
    "| default('us') }}.\n\n{{ sender_name }}",
}
IDENTITY = {
    "email": "ann@example.net",
    "first_name": "Ann",
    "last_name": "Lée",
    "phone": "+155512345",
}


def email(
    context: Mapping[str, object], content: Mapping[str, Any] = CONTENT, **more: Any
) -> Message:
    given = {"recipient": "ann@example.net", "sender": "Sales Team <sales@acme.example>"}
    given |= {"letterhead": LETTERHEAD, "now": NOW}
    return compose_email(7, content, context, **{**given, **more})


def sms(text: str, context: Mapping[str, object], **more: Any) -> Message:
    given = {"sender": "sales@acme.example", "gateway": "{{ phone }}@sms.example.com"}
    given |= {"letterhead": LETTERHEAD, "now": NOW}
    return compose_sms(7, {"text": text}, context, **{**given, **more})


def parts(message: Message) -> tuple[EmailMessage, str, str]:
    parsed = message_from_bytes(message.data, policy=default)
    assert isinstance(parsed, EmailMessage)
    text, html = (str(part.get_content()) for part in parsed.iter_parts())
    return parsed, text, html


def test_an_email_has_its_envelope_headers_and_two_parts() -> None:
    message = email(lead_context(IDENTITY, {"company": "Örn & Co"}))
    assert (message.channel, message.send_id) == ("email", 7)
    assert (message.envelope_from, message.to) == ("sales@acme.example", "ann@example.net")
    parsed, text, html = parts(message)
    assert parsed["from"] == "Sales Team <sales@acme.example>"
    assert parsed["to"].addresses[0].display_name == "Ann Lée"
    assert parsed["subject"] == "Hi Ann"
    assert parsed["date"].datetime == NOW
    assert parsed["message-id"] == message.message_id
    assert parsed["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert parsed["auto-submitted"] is None
    unsubscribe = parsed["list-unsubscribe"][1:-1]
    assert unsubscribe.startswith("https://t.example.com/u/")
    assert unsubscribe in text
    assert unsubscribe in html
    assert "Örn &amp; Co" in html
    assert "Örn & Co" in text
    assert "https://a.b/c" not in html + text
    assert "Acme Ltd, 1 Street" in text
    assert html.count("/o/") == 1
    assert "Sales Team" in text


def test_the_same_send_gives_the_same_bytes() -> None:
    context = lead_context(IDENTITY, {})
    assert email(context) == email(context)


def test_an_untracked_letterhead_leaves_links_and_adds_no_pixel() -> None:
    letterhead = Letterhead("https://t.example.com", "", b"k", is_tracked=False)
    _, text, html = parts(email(lead_context(IDENTITY, {}), letterhead=letterhead))
    assert 'href="https://a.b/c"' in html
    assert "/o/" not in html
    assert "/c/" not in text.replace("a.b/c", "")


def test_names_win_over_attributes_of_the_same_name() -> None:
    context = lead_context({**IDENTITY, "last_name": None}, {"first_name": "X", "last_name": "Y"})
    assert (context["first_name"], context["last_name"]) == ("Ann", "Y")


def test_what_was_given_with_an_enrollment_stands_under_context_and_hides_nothing() -> None:
    context = lead_context(IDENTITY, {"plan": "pro"}, {"plan": "free", "items": 3, "blank": ""})
    text = "{{ plan }} {{ context.plan }} {{ context.items }} {{ context.blank | default('-') }}"
    message = sms(text + " {{ unsubscribe }}", context)
    assert b"pro free 3 -" in message.data
    with pytest.raises(RenderError, match=r"`context\.offer` has no value for this lead.*default"):
        sms("{{ context.offer }} {{ unsubscribe }}", context)


def test_a_line_break_in_a_name_becomes_a_space() -> None:
    context = lead_context({**IDENTITY, "first_name": "Ann\r\nBcc: x@y.z"}, {})
    parsed, _, _ = parts(email(context))
    assert parsed["subject"] == "Hi Ann Bcc: x@y.z"
    assert parsed["bcc"] is None


def test_an_error_names_the_template_and_never_the_lead() -> None:
    content = {**CONTENT, "body_text": "Hi\n{{ plan }}"}
    with pytest.raises(RenderError, match=r"templates/welcome\.md line 2: `plan`"):
        email(lead_context(IDENTITY, {}), content)
    with pytest.raises(InvalidAddress) as caught:
        email(lead_context(IDENTITY, {}), recipient="not-an-address")
    assert "not-an-address" not in str(caught.value)


def test_an_sms_goes_to_the_gateway_as_one_plain_part() -> None:
    message = sms("Hi {{ firstName }}, é {{ unsubscribe }}", lead_context(IDENTITY, {}))
    assert (message.channel, message.to) == ("sms", "+155512345@sms.example.com")
    parsed = message_from_bytes(message.data, policy=default)
    assert parsed.get_content_type() == "text/plain"
    assert parsed["subject"] is None
    content = parsed.get_content()
    assert content.startswith("Hi Ann, é https://t.example.com/u/")
    assert len(content) < 80


def test_an_sms_that_cannot_be_sent_says_why() -> None:
    with pytest.raises(RenderError, match="`phone` has no value"):
        sms("Hi", lead_context({**IDENTITY, "phone": None}, {}))
    with pytest.raises(RenderError, match="empty"):
        sms("{{ plan | default('') }}", lead_context(IDENTITY, {}))
    with pytest.raises(DripError, match="`to`"):
        sms("Hi", lead_context(IDENTITY, {}), gateway=None)


@given(first_name=st.text(), company=st.text())
def test_any_lead_gives_a_message_that_a_parser_reads_without_defects(
    first_name: str, company: str
) -> None:
    context = lead_context({**IDENTITY, "first_name": first_name}, {"company": company})
    parsed, text, html = parts(email(context))
    assert not parsed.defects
    assert "{{" not in (text + html).replace(first_name, "").replace(company, "") or "{" in (
        first_name + company
    )
    assert parsed["message-id"].startswith("<7.")
