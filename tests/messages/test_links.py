import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.messages.links import (
    Click,
    InvalidToken,
    Purpose,
    click_url,
    open_url,
    read_click,
    read_open,
    read_token,
    read_unsubscribe,
    sign_token,
    unsubscribe_url,
)

KEY = b"k" * 32
SEND_IDS = st.integers(min_value=0, max_value=2**63)


@given(SEND_IDS, st.sampled_from(Purpose), st.binary(max_size=300))
def test_a_token_gives_back_what_was_signed(send_id: int, purpose: Purpose, data: bytes) -> None:
    token = sign_token(KEY, purpose, send_id, data)
    assert token.isascii()
    assert "=" not in token
    assert read_token(KEY, purpose, token) == (send_id, data)


@given(SEND_IDS, st.binary(max_size=40), st.data())
def test_a_token_with_any_character_changed_is_refused(
    send_id: int, data: bytes, draw: st.DataObject
) -> None:
    token = sign_token(KEY, Purpose.CLICK, send_id, data)
    position = draw.draw(st.integers(0, len(token) - 1))
    other = draw.draw(st.characters())
    tampered = token[:position] + other + token[position + 1 :]
    if tampered == token:
        return
    with pytest.raises(InvalidToken):
        read_token(KEY, Purpose.CLICK, tampered)


@given(st.text())
def test_no_text_is_a_token(text: str) -> None:
    with pytest.raises(InvalidToken):
        read_token(KEY, Purpose.OPEN, text)


@given(SEND_IDS, st.integers(1, 60))
def test_a_token_cut_short_or_made_longer_is_refused(send_id: int, count: int) -> None:
    token = sign_token(KEY, Purpose.OPEN, send_id, b"data")
    for tampered in (token[:-count], token[count:], token + "A" * count, token + "="):
        with pytest.raises(InvalidToken):
            read_token(KEY, Purpose.OPEN, tampered)


@given(SEND_IDS, st.sampled_from(Purpose), st.sampled_from(Purpose))
def test_a_token_serves_one_purpose_only(send_id: int, made: Purpose, used: Purpose) -> None:
    token = sign_token(KEY, made, send_id)
    if made is used:
        assert read_token(KEY, used, token) == (send_id, b"")
    else:
        with pytest.raises(InvalidToken):
            read_token(KEY, used, token)


def test_a_token_of_another_key_is_refused() -> None:
    with pytest.raises(InvalidToken, match="wrong signature"):
        read_token(KEY, Purpose.OPEN, sign_token(b"other", Purpose.OPEN, 7))


def test_addresses_carry_their_tokens() -> None:
    base = "https://t.example.com/"
    pixel = open_url(base, KEY, 7)
    assert pixel.startswith("https://t.example.com/o/")
    assert read_open(KEY, pixel.rsplit("/", 1)[1].removesuffix(".gif")) == 7
    target = "https://example.com/präis?a=1&b=2#top"
    click = click_url(base, KEY, 8, 3, target)
    assert read_click(KEY, click.rsplit("/", 1)[1]) == Click(8, 3, target)
    assert read_unsubscribe(KEY, unsubscribe_url(base, KEY, 9).rsplit("/u/", 1)[1]) == 9


@pytest.mark.parametrize(
    "target",
    ["javascript:alert(1)", "//evil.example", "/path", "mailto:a@b.c", "http://a\r\nSet-Cookie: x"],
)
def test_only_web_addresses_can_be_tracked(target: str) -> None:
    with pytest.raises(ValueError, match="Only http and https"):
        click_url("https://t.example.com", KEY, 1, 1, target)
    forged = sign_token(KEY, Purpose.CLICK, 1, b"\0\1" + target.encode())
    with pytest.raises(InvalidToken, match="not a web address"):
        read_click(KEY, forged)


def test_a_click_token_that_is_not_text_is_refused() -> None:
    with pytest.raises(InvalidToken, match="not text"):
        read_click(KEY, sign_token(KEY, Purpose.CLICK, 1, b"\0\1\xff"))


def test_unused_bits_of_the_last_character_cannot_make_a_second_spelling() -> None:
    token = sign_token(KEY, Purpose.OPEN, 1, b"x")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = [token[:-1] + letter for letter in alphabet]
    same_bytes = [s for s in spellings if _decode(s) == _decode(token)]
    assert len(same_bytes) > 1
    for spelling in same_bytes:
        if spelling != token:
            with pytest.raises(InvalidToken):
                read_token(KEY, Purpose.OPEN, spelling)


def _decode(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
