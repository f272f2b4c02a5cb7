"""One send becomes one message: content, lead and sender in, envelope and bytes out.

Belongs here: the order of the steps, a lead's variables. Pure: nothing is read, `now` is given.
Does not: each step's own rules (render, tracking, compliance, mime), handing over (channels).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from pipeline.messages.compliance import (
    add_footer,
    create_message_id,
    format_date,
    unsubscribe_headers,
)
from pipeline.messages.links import unsubscribe_url
from pipeline.messages.mime import (
    build_alternative,
    build_plain,
    encode_address,
    encode_text,
    normalize_address,
    split_address,
)
from pipeline.messages.render import RenderError, render_body, render_text
from pipeline.messages.tracking import add_open_pixel, track_links
from pipeline.settings import DripError

LEAD_VARIABLES = frozenset(
    {
        *("first_name", "last_name", "email", "phone", "company", "sender_name", "unsubscribe"),
        "context",
    }
)
"""Variables of every lead, besides the attributes that workspace.yml allows."""

_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_PAGE = (
    '<!doctype html>\n<html><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"></head>\n'
    '<body style="margin:0;padding:24px;background:#ffffff">'
    '<div style="max-width:600px;margin:0 auto;font-family:-apple-system,Segoe UI,Roboto,'
    'Helvetica,Arial,sans-serif;font-size:16px;line-height:24px;color:#1f2937">\n'
)
_PAGE_END = "</div></body></html>\n"


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What all messages of a workspace share."""

    base_url: str
    address: str
    token_key: bytes
    is_tracked: bool = True


@dataclass(frozen=True, slots=True)
class Message:
    """A message ready to be handed over."""

    send_id: int
    channel: str
    envelope_from: str
    to: str
    data: bytes
    message_id: str


class EnrollmentContext(SimpleNamespace):
    """What was given with an enrollment, as `{{ context.offer }}`.

    A plain dict would give `{{ context.items }}` its method of that name.
    """


def lead_context(
    identity: Mapping[str, object],
    attributes: Mapping[str, object],
    given: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return a lead's variables: attributes, and over them names, e-mail address and phone.

    What was `given` with its enrollment stands under `context`, so that it hides nothing.
    """
    known = {name: identity.get(name) for name in ("first_name", "last_name", "email", "phone")}
    filled = {name: value for name, value in (given or {}).items() if value not in ("", None)}
    return {
        **attributes,
        **{name: value for name, value in known.items() if value},
        "context": EnrollmentContext(**filled),
    }


def compose_email(
    send_id: int,
    content: Mapping[str, Any],
    context: Mapping[str, object],
    *,
    sender: str,
    recipient: str,
    letterhead: Letterhead,
    now: datetime,
) -> Message:
    """Compose an e-mail.

    Args:
        send_id: The send; 0 in a preview.
        content: `subject`, `body_text` (Markdown template), `includes` (snippets by name), and
            `body`, the template's name in errors.
        context: The lead's variables, see `lead_context`.
        sender: `Ann Lee <ann@example.com>`.
        recipient: The lead's address.
        letterhead: What the workspace's messages share.
        now: The Date.

    Raises:
        DripError: a RenderError, HeaderInjection or InvalidAddress: this message cannot be sent.
    """
    key, base_url = letterhead.token_key, letterhead.base_url
    sender_name, sender_address = split_address(sender)
    unsubscribe = unsubscribe_url(base_url, key, send_id)
    values = {**context, "sender_name": sender_name or sender_address, "unsubscribe": unsubscribe}
    includes = content.get("includes") or {}
    subject = render_text(content["subject"], values, name="subject", includes=includes)
    name = str(content.get("body") or "body")
    body = render_body(content["body_text"], values, name=name, includes=includes)
    body = add_footer(body, address=letterhead.address, unsubscribe=unsubscribe)
    html = body.html
    if letterhead.is_tracked:
        body = track_links(body, base_url=base_url, key=key, send_id=send_id)
        html = add_open_pixel(body.html, base_url=base_url, key=key, send_id=send_id)
    to = normalize_address(recipient)
    message_id, boundary = create_message_id(key, send_id, sender_address.rpartition("@")[2])
    headers = [
        ("From", encode_address(sender_name, sender_address)),
        ("To", encode_address(_full_name(context), to, 4)),
        ("Subject", encode_text(one_line(subject))),
        ("Date", format_date(now)),
        ("Message-ID", message_id),
        *unsubscribe_headers(unsubscribe),
    ]
    data = build_alternative(
        headers,
        text=body.text,
        html=f"{_PAGE}{html}{_PAGE_END}",
        boundary=boundary,
    )
    return Message(send_id, "email", sender_address, to, data, message_id)


def compose_sms(
    send_id: int,
    content: Mapping[str, Any],
    context: Mapping[str, object],
    *,
    sender: str,
    gateway: str | None,
    letterhead: Letterhead,
    now: datetime,
) -> Message:
    """Compose an SMS for an e-mail-to-SMS gateway: a plain message to an address made of the phone.

    Args:
        send_id: The send; 0 in a preview.
        content: `text` (template) and `includes`.
        context: The lead's variables, see `lead_context`.
        sender: `Ann Lee <ann@example.com>`, known to the gateway.
        gateway: The sender's `to`, such as `{{ phone }}@sms.example.com`.
        letterhead: What the workspace's messages share.
        now: The Date.

    Raises:
        DripError: a RenderError, HeaderInjection or InvalidAddress: this message cannot be sent.
    """
    if not gateway:
        raise DripError(
            "An SMS sender without `to` cannot send. Give it one in workspace.yml, such as "
            "to: '{{ phone }}@sms.example.com'."
        )
    key = letterhead.token_key
    sender_name, sender_address = split_address(sender)
    unsubscribe = unsubscribe_url(letterhead.base_url, key, send_id)
    values = {**context, "sender_name": sender_name or sender_address, "unsubscribe": unsubscribe}
    includes = content.get("includes") or {}
    text = render_text(content["text"], values, name="text", includes=includes).strip()
    if not text:
        raise RenderError("text", None, "the SMS is empty for this lead. Write a text.")
    to = normalize_address(render_text(gateway, values, name="to"))
    message_id, _ = create_message_id(key, send_id, sender_address.rpartition("@")[2])
    headers = [
        ("From", encode_address(sender_name, sender_address)),
        ("To", to),
        ("Date", format_date(now)),
        ("Message-ID", message_id),
    ]
    data = build_plain(headers, text=text + "\n")
    return Message(send_id, "sms", sender_address, to, data, message_id)


def _full_name(context: Mapping[str, object]) -> str:
    names = (context.get("first_name"), context.get("last_name"))
    return one_line(" ".join(str(name) for name in names if name))


def one_line(value: str) -> str:
    """Make one line of what a template or an import broke into several."""
    return _CONTROL.sub(" ", value).strip()
