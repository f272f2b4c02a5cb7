from datetime import UTC, datetime

import pytest

from pipeline.messages.compose import Letterhead, compose_email, compose_sms
from pipeline.messages.links import read_click, read_open, read_unsubscribe
from pipeline.simulation.inbox import UnreadableMail, read_mail

KEY = bytes(range(32))
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
LETTERHEAD = Letterhead("http://mail.example", "12 Harbour Street", KEY)
BODY = "Hello {{ first_name }}, [one](https://a.example/1?x=1&y=2) and [two](https://a.example/2)."


def composed(first_name: str = "Jürgen", subject: str = "Grüße, {{ first_name }}") -> bytes:
    return compose_email(
        7,
        {"subject": subject, "body_text": BODY},
        {"first_name": first_name},
        sender="Ann Lee <ann@lessons.example>",
        recipient="lead1@webmail.example",
        letterhead=LETTERHEAD,
        now=NOW,
    ).data


@pytest.mark.parametrize("first_name", ["Ann", "Jürgen"], ids=["as it is", "base64"])
def test_a_mail_shows_its_reader_subject_links_pixel_and_way_out(first_name: str) -> None:
    mail = read_mail(composed(first_name))
    assert mail.recipient == "lead1@webmail.example"
    assert mail.subject == f"Grüße, {first_name}"
    assert mail.message_id.startswith("<7.")
    targets = [read_click(KEY, path.removeprefix("/c/")).url for path in mail.clicks]
    assert targets == ["https://a.example/1?x=1&y=2", "https://a.example/2"]
    assert mail.pixel is not None
    assert read_open(KEY, mail.pixel[3:].removesuffix(".gif")) == 7
    assert mail.way_out is not None
    assert read_unsubscribe(KEY, mail.way_out[3:]) == 7
    assert mail.is_one_click


def test_a_text_message_shows_its_way_out_and_no_pixel() -> None:
    message = compose_sms(
        8,
        {"text": "Hi {{ first_name }}, stop: {{ unsubscribe }}"},
        {"first_name": "Ann", "phone": "+12125550001"},
        sender="Northwind <sms@lessons.example>",
        gateway="{{ phone }}@sms.example",
        letterhead=LETTERHEAD,
        now=NOW,
    )
    mail = read_mail(message.data)
    assert mail.recipient == "+12125550001@sms.example"
    assert mail.pixel is None
    assert mail.clicks == ()
    assert mail.way_out is not None
    assert read_unsubscribe(KEY, mail.way_out[3:]) == 8
    assert not mail.is_one_click


@pytest.mark.parametrize("data", [b"", b"Subject: no name\r\n\r\nbody", b"\x00\xff"])
def test_bytes_without_name_or_recipient_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableMail, match="without Message-ID"):
        read_mail(data)
