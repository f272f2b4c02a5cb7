"""Bytes that a mail program reads as what was meant."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.messages.mime import (
    HeaderInjection,
    InvalidAddress,
    build_alternative,
    build_plain,
    encode_address,
    encode_text,
    normalize_address,
    split_address,
)

LINES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]))
BODIES = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
BOUNDARY = "=_0123456789abcdef01234567"


def parse(data: bytes) -> EmailMessage:
    message = message_from_bytes(data, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(subject=LINES, name=LINES, text=BODIES, html=BODIES)
@example(subject="=?utf-8?q?no?=", name='A "B" \\ C, D <e@f>', text="a\r\nb\rc\n.", html="é" * 999)
@example(subject=" lead", name="Ä", text="x" * 2000, html="--" + BOUNDARY[:5])
@example(subject="word " * 60 + "end", name="N" * 200, text="From me\n\n", html="")
@example(subject="x" * 1500, name="=?utf-8?q?no?=", text="", html="\n")
@example(subject="a  b   c" * 30, name="(comment) a", text="\t", html="\x0c\x1c")
def test_a_parser_gives_back_subject_name_text_and_html(
    subject: str, name: str, text: str, html: str
) -> None:
    headers = [
        ("From", encode_address(name, "ann@example.com")),
        ("Subject", encode_text(subject)),
    ]
    data = build_alternative(headers, text=text, html=html, boundary=BOUNDARY)
    message = parse(data)
    assert message["subject"] == subject
    (sender,) = message["from"].addresses
    assert sender.addr_spec == "ann@example.com"
    # Python 3.11 keeps the gap between two encoded words of a name, which RFC 2047 (6.2) drops.
    flat = "".join if len(name) > 8 else " ".join
    assert flat(sender.display_name.split()) == flat(name.split())
    parts = [part.get_content() for part in message.iter_parts()]
    assert [lines(part) for part in parts] == [lines(text), lines(html)]
    assert not message.defects


@given(subject=LINES, name=LINES, text=BODIES)
def test_no_line_is_too_long_for_smtp_and_all_is_ascii(subject: str, name: str, text: str) -> None:
    headers = [
        ("To", encode_address(name * 30, "a@b.example", 4)),
        ("Subject", encode_text(subject)),
    ]
    data = build_plain(headers, text=text * 20)
    assert data.isascii()
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert lines(parse(data).get_content()) == lines(text * 20)


@pytest.mark.parametrize("value", ["a\r\nBcc: x@y.z", "a\nb", "a\rb", "a\0b"])
def test_line_breaks_in_header_values_are_refused(value: str) -> None:
    with pytest.raises(HeaderInjection):
        encode_text(value)
    with pytest.raises(HeaderInjection):
        encode_address(value, "a@b.example")
    with pytest.raises(HeaderInjection):
        split_address(f"{value} <a@b.example>")
    if "\0" not in value:
        with pytest.raises(HeaderInjection, match="Subject"):
            build_plain([("Subject", value)], text="")


def test_half_a_surrogate_becomes_a_question_mark() -> None:
    assert (
        parse(build_plain([("Subject", encode_text("a\ud800"))], text="\ud800"))["subject"] == "a?"
    )


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        (" ann+x@example.com ", "ann+x@example.com"),
        ("a.b_c@bücher.example", "a.b_c@xn--bcher-kva.example"),
        ("+15551234567@sms.example.com", "+15551234567@sms.example.com"),
        ("a@localhost", "a@localhost"),
    ],
)
def test_addresses_travel_in_ascii(address: str, normal: str) -> None:
    assert normalize_address(address) == normal


@pytest.mark.parametrize(
    "address",
    ["", "ann", "@b.c", "a@", "a b@c.d", "a@b@c.d", "a@-b.c", "é@b.c", "a@b..c", "a..b@c.d",
     "a" * 65 + "@b.c", "a@" + "b" * 250 + ".c", "<a@b.c>", "a@b.c>,<d@e.f", "a@é..c"],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        normalize_address(address)
    assert len(address) < 3 or address not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("Ann Lee <ann@example.com>", ("Ann Lee", "ann@example.com")),
        ("ann@example.com", ("", "ann@example.com")),
        ('"Lee, Ann" <ann@example.com>', ("Lee, Ann", "ann@example.com")),
    ],
)
def test_a_sender_is_split_into_name_and_address(value: str, parts: tuple[str, str]) -> None:
    assert split_address(value) == parts


def test_plain_text_travels_readable_and_other_text_in_base64() -> None:
    assert b"7bit\r\n\r\nHi there\r\n" in build_plain([], text="Hi there\n")
    assert b"base64\r\n\r\nw6k=\r\n" in build_plain([], text="é")
