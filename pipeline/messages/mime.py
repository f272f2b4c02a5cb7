"""The bytes of a message, made by hand: `EmailMessage` costs a thousand microseconds, this forty.

Belongs here: header encoding (RFC 2047), addresses, parts, refusing what would inject a header.
Does not: which headers a message has (compliance, compose).
"""

import base64
import re
from collections.abc import Iterable
from email.utils import parseaddr
from functools import lru_cache

from pipeline.settings import DripError

_LINE = 76
_WORD_BYTES = 42  # of UTF-8 in one encoded word: 56 characters of base64, 68 with its frame
_LONGEST = 900  # of a line sent as it is; 998 is SMTP's limit
_NOT_PLAIN = re.compile(r"[^\t\n -~]")
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST_LOCAL, _LONGEST_ADDRESS = 64, 254


class HeaderInjection(DripError):
    """A header's value holds a line break."""


class InvalidAddress(DripError):
    """An e-mail address to which nothing can be sent. The text does not repeat it (R22)."""


def encode_text(value: str, used: int = 9) -> str:
    """Return a header's value as ASCII: folded at spaces, or in encoded words (RFC 2047).

    Args:
        value: Any text without line breaks.
        used: Columns taken by the header's name on the first line.

    Raises:
        HeaderInjection: the value holds a line break or a zero byte.
    """
    _refuse_breaks(value)
    is_plain = value.isascii() and value.isprintable() and value == value.strip()
    if is_plain and "=?" not in value:
        if used + len(value) <= _LINE:
            return value
        if max(map(len, value.split(" "))) < _LONGEST:
            return _fold(value, used)
    return "\r\n ".join(f"=?utf-8?b?{word}?=" for word in _encoded_words(value, used))


def encode_address(name: str, address: str, used: int = 6) -> str:
    """Return `name <address>` for a header; the name may be empty and may hold any character.

    Raises:
        HeaderInjection: name or address hold a line break.
        InvalidAddress: the address is none.
    """
    _refuse_breaks(name + address)
    mailbox = normalize_address(address)
    name = " ".join(name.split())
    if not name:
        return mailbox
    if not (name.isascii() and name.isprintable()) or "=?" in name or used + len(name) > _LINE:
        phrase = "\r\n ".join(f"=?utf-8?b?{word}?=" for word in _encoded_words(name, used))
    elif _ATOMS.fullmatch(name):
        phrase = name
    else:
        phrase = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    gap = " " if used + len(phrase) + len(mailbox) < _LINE else "\r\n "
    return f"{phrase}{gap}<{mailbox}>"


@lru_cache(maxsize=1024)
def normalize_address(address: str) -> str:
    """Return an address as it travels, its domain in ASCII (IDNA).

    Raises:
        InvalidAddress: it has no mailbox, no domain, or characters that mail cannot carry.
    """
    local, _, domain = address.strip().rpartition("@")
    try:
        domain = domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        domain = ""
    is_short = len(local) <= _LONGEST_LOCAL and len(local) + len(domain) < _LONGEST_ADDRESS
    if not (is_short and _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain)):
        raise InvalidAddress(
            "An e-mail address is not one that mail can be sent to. Correct it at its source."
        )
    return f"{local}@{domain}"


@lru_cache(maxsize=256)
def split_address(value: str) -> tuple[str, str]:
    """Split a sender, `Ann Lee <ann@example.com>`, into name and address.

    Raises:
        HeaderInjection: it holds a line break.
        InvalidAddress: the address is none.
    """
    _refuse_breaks(value)
    name, address = parseaddr(value)
    return name, normalize_address(address)


def build_alternative(
    headers: Iterable[tuple[str, str]], *, text: str, html: str, boundary: str
) -> bytes:
    """Return a message of two parts, multipart/alternative.

    Args:
        headers: Names and encoded values.
        text: The plain part; its line breaks become CRLF.
        html: The HTML part.
        boundary: A word that neither part can hold.
    """
    parts = [
        _header_lines(headers),
        f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="{boundary}"\r\n',
    ]
    for subtype, content in (("plain", text), ("html", html)):
        encoding, data = _encode_body(content)
        parts.append(f"\r\n--{boundary}\r\n{_content_lines(subtype, encoding)}\r\n{data}")
    parts.append(f"\r\n--{boundary}--\r\n")
    return "".join(parts).encode("ascii")


def build_plain(headers: Iterable[tuple[str, str]], *, text: str) -> bytes:
    """Return a message of one plain-text part, for e-mail-to-SMS gateways."""
    encoding, data = _encode_body(text)
    lines = _header_lines(headers)
    return f"{lines}MIME-Version: 1.0\r\n{_content_lines('plain', encoding)}\r\n{data}".encode(
        "ascii"
    )


def _header_lines(headers: Iterable[tuple[str, str]]) -> str:
    lines = []
    for name, value in headers:
        # The last guard: whatever made the value, only our own folds may break its line.
        if "\r" in value or "\n" in value:
            flat = value.replace("\r\n ", "")
            if "\r" in flat or "\n" in flat:
                raise HeaderInjection(f"The header {name} holds a line break. Remove it.")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines)


def _content_lines(subtype: str, encoding: str) -> str:
    return (
        f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n"
    )


def _encode_body(content: str) -> tuple[str, str]:
    """Send ASCII with lines of usual length as it is, all else in base64."""
    if "\r" in content:
        content = _LINE_BREAK.sub("\n", content)
    is_plain = content.isascii() and not _NOT_PLAIN.search(content)
    if is_plain and max(map(len, content.split("\n"))) < _LONGEST:
        return "7bit", content.replace("\n", "\r\n")
    data = content.replace("\n", "\r\n").encode("utf-8", "replace")
    return "base64", base64.encodebytes(data).decode("ascii").replace("\n", "\r\n")


def _refuse_breaks(value: str) -> None:
    if "\n" in value or "\r" in value or "\0" in value:
        raise HeaderInjection(
            "A header's value holds a line break. Remove it from the subject, name or address."
        )


def _fold(value: str, used: int) -> str:
    """Break lines before single spaces; unfolding gives the value back."""
    lines: list[str] = []
    line = ""
    for word in re.split(r"(?<=[^ ])(?= [^ ])", value):
        if line and used + len(line) + len(word) > _LINE:
            lines.append(line)
            line, used = "", 0
        line += word
    return "\r\n".join([*lines, line])


def _encoded_words(value: str, used: int) -> Iterable[str]:
    """Yield base64 of pieces that end between characters; the first piece fits behind the name."""
    room = max(8, _WORD_BYTES - used)
    piece = b""
    for character in value:
        data = character.encode("utf-8", "replace")
        if len(piece) + len(data) > room:
            yield base64.b64encode(piece).decode("ascii")
            piece, room = b"", _WORD_BYTES
        piece += data
    yield base64.b64encode(piece).decode("ascii")
