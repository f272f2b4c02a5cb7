"""Reading a mail that arrived: what a person and the machines before them find in its bytes.

Belongs here: from bytes to subject, links and the way out. Does not: what anybody does with them
(`market`), how the bytes came (`sink`).
"""

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parseaddr
from html import unescape
from urllib.parse import urlsplit

_HREF = re.compile(r'<a\s[^>]*?\bhref="(https?://[^"]*)"', re.IGNORECASE)
_IMAGE = re.compile(r'<img\s[^>]*?\bsrc="(https?://[^"]*)"', re.IGNORECASE)
_PLAIN_URL = re.compile(r"https?://[^\s<>\"]+")
_LIST_ADDRESS = re.compile(r"<(https?://[^>]+)>")


class UnreadableMail(ValueError):
    """A mail without what every mail of ours has."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as its reader has it; addresses on our server without their host.

    Attributes:
        clicks: paths of the tracked links, each once, in the order of the text.
        pixel: path of the open pixel; None in a text message.
        way_out: path of the unsubscribe page.
        is_one_click: the headers allow unsubscribing by one POST (RFC 8058).
    """

    message_id: str
    recipient: str
    subject: str
    pixel: str | None
    clicks: tuple[str, ...]
    way_out: str | None
    is_one_click: bool


def read_mail(data: bytes) -> Mail:
    """Read one mail.

    Raises:
        UnreadableMail: it has no Message-ID or no recipient.
    """
    message = message_from_bytes(data)
    message_id = (message["Message-ID"] or "").strip()
    recipient = parseaddr(_decoded(message["To"]))[1]
    if not message_id or not recipient:
        raise UnreadableMail("A mail without Message-ID or recipient arrived.")
    html, text = _part(message, "text/html"), _part(message, "text/plain")
    links = [unescape(found) for found in _HREF.findall(html)] or _PLAIN_URL.findall(text)
    paths = list(dict.fromkeys(urlsplit(link).path for link in links))
    images = [urlsplit(unescape(found)).path for found in _IMAGE.findall(html)]
    ways_out = _LIST_ADDRESS.findall(message["List-Unsubscribe"] or "")
    return Mail(
        message_id=message_id,
        recipient=recipient.lower(),
        subject=_decoded(message["Subject"]),
        pixel=next((path for path in images if path.startswith("/o/")), None),
        clicks=tuple(path for path in paths if path.startswith("/c/")),
        way_out=next(
            (path for path in [*map(_path, ways_out), *paths] if path.startswith("/u/")), None
        ),
        is_one_click=message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click",
    )


def _path(url: str) -> str:
    return urlsplit(url).path


def _part(message: Message, kind: str) -> str:
    for part in message.walk():
        if part.get_content_type() == kind:
            raw = part.get_payload(decode=True)
            return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
    return ""


def _decoded(value: str | None) -> str:
    if not value or "=?" not in value:
        return value or ""
    return str(make_header(decode_header(value)))
