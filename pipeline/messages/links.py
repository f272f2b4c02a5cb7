"""Signed addresses in messages: open pixel, tracked click, unsubscribe.

Belongs here: making and reading tokens and their addresses, statelessly, from the workspace key.
Does not: finding links in a text (render), answering requests (inbound).
"""

import base64
import binascii
import hashlib
import hmac
from enum import Enum
from typing import NamedTuple

_MAC_BYTES = 16
_SEND_ID_BYTES = 8
_LINK_NO_BYTES = 2


class InvalidToken(Exception):
    """The token was not made by this workspace for this purpose."""


class Purpose(Enum):
    """What a token is for; one byte inside the MAC, so that no token serves another purpose."""

    OPEN = b"o"
    CLICK = b"c"
    UNSUBSCRIBE = b"u"


class Click(NamedTuple):
    """What a click token says."""

    send_id: int
    link_no: int
    url: str


def sign_token(key: bytes, purpose: Purpose, send_id: int, data: bytes = b"") -> str:
    """Return the token of a send: payload and MAC as urlsafe base64 without padding."""
    payload = send_id.to_bytes(_SEND_ID_BYTES, "big") + data
    return _encode(payload + _mac(key, purpose, payload))


def read_token(key: bytes, purpose: Purpose, token: str) -> tuple[int, bytes]:
    """Return send id and data of a token.

    Raises:
        InvalidToken: it was made with another key, for another purpose, or was changed.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidToken("not base64") from None
    payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    # The last character may carry unused bits: only the one spelling that we write is ours.
    if len(payload) < _SEND_ID_BYTES or _encode(raw) != token:
        raise InvalidToken("not a token")
    if not hmac.compare_digest(mac, _mac(key, purpose, payload)):
        raise InvalidToken("wrong signature")
    return int.from_bytes(payload[:_SEND_ID_BYTES], "big"), payload[_SEND_ID_BYTES:]


def open_url(base_url: str, key: bytes, send_id: int) -> str:
    """Return the address of the open pixel of a send."""
    return f"{base_url.rstrip('/')}/o/{sign_token(key, Purpose.OPEN, send_id)}.gif"


def click_url(base_url: str, key: bytes, send_id: int, link_no: int, target: str) -> str:
    """Return the tracked address that redirects to the target, an http(s) address.

    Raises:
        ValueError: the target is not an absolute http or https address in printable characters.
    """
    if not _is_redirectable(target):
        raise ValueError(f"Only http and https links can be tracked, not {target!r}.")
    data = link_no.to_bytes(_LINK_NO_BYTES, "big") + target.encode()
    return f"{base_url.rstrip('/')}/c/{sign_token(key, Purpose.CLICK, send_id, data)}"


def unsubscribe_url(base_url: str, key: bytes, send_id: int) -> str:
    """Return the address of the unsubscribe page, also for the one-click POST of RFC 8058."""
    return f"{base_url.rstrip('/')}/u/{sign_token(key, Purpose.UNSUBSCRIBE, send_id)}"


def read_open(key: bytes, token: str) -> int:
    """Return the send id of an open token."""
    return read_token(key, Purpose.OPEN, token)[0]


def read_click(key: bytes, token: str) -> Click:
    """Return send id, link number and target of a click token."""
    send_id, data = read_token(key, Purpose.CLICK, token)
    try:
        url = data[_LINK_NO_BYTES:].decode()
    except UnicodeDecodeError:
        raise InvalidToken("target is not text") from None
    if not _is_redirectable(url):
        raise InvalidToken("target is not a web address")
    return Click(send_id, int.from_bytes(data[:_LINK_NO_BYTES], "big"), url)


def read_unsubscribe(key: bytes, token: str) -> int:
    """Return the send id of an unsubscribe token."""
    return read_token(key, Purpose.UNSUBSCRIBE, token)[0]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _mac(key: bytes, purpose: Purpose, payload: bytes) -> bytes:
    return hmac.digest(key, purpose.value + payload, hashlib.sha256)[:_MAC_BYTES]


def _is_redirectable(url: str) -> bool:
    return url.lower().startswith(("http://", "https://")) and url.isprintable() and " " not in url
