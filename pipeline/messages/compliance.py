"""What mail must carry: the way out, who wrote it, when, and under which name.

Belongs here: List-Unsubscribe, the footer, Message-ID, Date, warnings about a message.
Does not: acting on an unsubscribe (inbound, engine), the bytes (mime).
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from html import escape

from pipeline.messages.render import Body

_LONG_SUBJECT = 78
_SMS_PART = 160
# What a lead reads, and may want no more of.
_WRITTEN = ("email", "sms", "whatsapp", "form")
_FOOTER_STYLE = "margin-top:32px;font-size:12px;line-height:18px;color:#6b7280"


def add_footer(body: Body, *, address: str, unsubscribe: str) -> Body:
    """Append the postal address and a visible unsubscribe link, each where the body lacks it."""
    has_address = not address or _flat(address) in _flat(body.text)
    has_link = unsubscribe in body.html and unsubscribe in body.text
    if has_address and has_link:
        return body
    html, text = [], []
    if not has_address:
        lines = [line.strip() for line in address.strip().splitlines()]
        html.append("<br>".join(escape(line) for line in lines))
        text += lines
    if not has_link:
        html.append(f'<a href="{escape(unsubscribe)}" style="color:#6b7280">Unsubscribe</a>')
        text.append(f"Unsubscribe: {unsubscribe}")
    return Body(
        f'{body.html}<p style="{_FOOTER_STYLE}">{"<br>".join(html)}</p>\n',
        f"{body.text.rstrip()}\n\n-- \n" + "\n".join(text) + "\n",
    )


def unsubscribe_headers(unsubscribe: str) -> list[tuple[str, str]]:
    """Return the headers of one-click unsubscribing (RFC 8058)."""
    return [
        ("List-Unsubscribe", f"<{unsubscribe}>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ]


def create_message_id(key: bytes, send_id: int, domain: str) -> tuple[str, str]:
    """Return the Message-ID and the MIME boundary of a send.

    Both are the same at every attempt, and nobody can foresee them: no reply can be forged by
    counting, and no value of a lead can end a part early.
    """
    mac = hmac.digest(key, b"message:%d" % send_id, hashlib.sha256).hex()
    return f"<{send_id}.{mac[:12]}@{domain}>", f"=_{mac[12:36]}"


@lru_cache(maxsize=16)
def format_date(now: datetime) -> str:
    """Return the Date header of a moment."""
    return format_datetime(now)


def lint_message(channel: str, content: Mapping[str, str]) -> list[str]:
    """Return warnings about a finished message.

    Args:
        channel: `email`, `sms`, …
        content: `subject`, `text` and the `unsubscribe` address that it should show.
    """
    subject, text = content.get("subject", ""), content["text"]
    warnings = []
    if channel == "email":
        if not subject.strip():
            warnings.append("The subject is empty. Write one.")
        if len(subject) > _LONG_SUBJECT:
            warnings.append(
                f"The subject has {len(subject)} characters; most inboxes show fewer than "
                f"{_LONG_SUBJECT}. Shorten it."
            )
    elif channel == "sms" and len(text) > _SMS_PART:
        warnings.append(
            f"The text has {len(text)} characters and travels as several SMS. Shorten it to "
            f"{_SMS_PART}."
        )
    if channel in _WRITTEN and content["unsubscribe"] not in text:
        warnings.append("The text shows no way to unsubscribe. Add {{ unsubscribe }}.")
    return warnings


def _flat(text: str) -> str:
    return " ".join(text.split()).lower()
