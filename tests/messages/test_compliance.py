"""What mail must carry."""

from datetime import UTC, datetime

import pytest

from pipeline.messages.compliance import (
    add_footer,
    create_message_id,
    format_date,
    lint_message,
    unsubscribe_headers,
)
from pipeline.messages.render import Body

OUT = "https://t.example.com/u/abc"


def test_the_footer_has_the_address_and_the_way_out() -> None:
    body = add_footer(Body("<p>Hi</p>", "Hi\n"), address="Acme & Co\n1 Street", unsubscribe=OUT)
    assert "Acme &amp; Co<br>1 Street<br>" in body.html
    assert f'href="{OUT}"' in body.html
    assert body.text == f"Hi\n\n-- \nAcme & Co\n1 Street\nUnsubscribe: {OUT}\n"


def test_what_the_body_has_is_not_repeated() -> None:
    html, text = f'<p>Acme</p><a href="{OUT}">x</a>', f"ACME\n{OUT}\n"
    assert add_footer(Body(html, text), address="Acme", unsubscribe=OUT) == Body(html, text)
    without_link = add_footer(Body("<p>Acme</p>", "Acme"), address="Acme", unsubscribe=OUT)
    assert without_link.html.count("Acme") == 1
    assert without_link.text.count(OUT) == 1
    without_address = add_footer(Body(html, OUT), address="Acme", unsubscribe=OUT)
    assert without_address.text.count(OUT) == 1
    assert "Acme" in without_address.text


def test_a_link_inside_a_condition_that_does_not_hold_still_leaves_a_way_out() -> None:
    body = add_footer(Body("<p>Hi</p>", "Hi"), address="", unsubscribe=OUT)
    assert OUT in body.html
    assert OUT in body.text


def test_one_click_headers_follow_rfc_8058() -> None:
    assert unsubscribe_headers(OUT) == [
        ("List-Unsubscribe", f"<{OUT}>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ]


def test_a_send_keeps_its_message_id_and_another_send_or_key_has_another() -> None:
    ids = {create_message_id(key, n, "a.b")[0] for key in (b"1", b"2") for n in (1, 2)}
    assert len(ids) == 4
    message_id, boundary = create_message_id(b"1", 1, "a.b")
    assert (message_id, boundary) == create_message_id(b"1", 1, "a.b")
    assert message_id.startswith("<1.")
    assert message_id.endswith("@a.b>")


def test_the_date_is_in_mail_form() -> None:
    now = datetime(2026, 11, 1, 12, 0, 5, tzinfo=UTC)
    assert format_date(now) == "Sun, 01 Nov 2026 12:00:05 +0000"


@pytest.mark.parametrize(
    ("channel", "subject", "text", "words"),
    [
        pytest.param("email", "Hi", OUT, [], id="fine"),
        pytest.param("email", "x" * 79, OUT, ["79 characters"], id="long subject"),
        pytest.param("email", " ", OUT, ["subject is empty"], id="no subject"),
        pytest.param("sms", "", f"Hi {OUT}", [], id="short sms"),
        pytest.param("sms", "", "x" * 161, ["161 characters", "no way to"], id="long sms"),
    ],
)
def test_warnings_say_what_to_do(channel: str, subject: str, text: str, words: list[str]) -> None:
    content = {"subject": subject, "text": text, "unsubscribe": OUT}
    warnings = lint_message(channel, content)
    assert len(warnings) == len(words)
    for warning, word in zip(warnings, words, strict=True):
        assert word in warning
