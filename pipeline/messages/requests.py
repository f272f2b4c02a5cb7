"""Webhooks and forms: what one request tells the system that gets it.

Belongs here: a hook's JSON, a form's fields. Pure: nothing is read, `now` is given. Does not:
address, signature and answer (`channels.http`), what is written to people (`compose`, `notes`).
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from pipeline.messages.compose import Letterhead, Message
from pipeline.messages.links import unsubscribe_url
from pipeline.messages.mime import split_address
from pipeline.messages.render import render_text
from pipeline.sequences.model import Sender

FORM_TYPE = "application/x-www-form-urlencoded"
"""How the fields of a form are written; in UTF-8, as its standard says."""

_LEAD = ("first_name", "last_name", "email", "phone")


def compose_webhook(
    send_id: int,
    content: Mapping[str, Any],
    context: Mapping[str, object],
    *,
    letterhead: Letterhead,
    now: datetime,
) -> Message:
    """Compose a webhook; `message_id` is what its `webhook-id` says, the same at every attempt.

    The body is `{"type": "step.<id>", "timestamp": …, "data": {"send_id": …, "payload": {…}}}`;
    reports about it name the `send_id`.

    Args:
        send_id: The send; 0 in a preview.
        content: `step` (its id), and `payload`, a JSON object of templates; without one the
            payload is what is known of the lead's names, address and phone.
        context: The lead's variables, see `compose.lead_context`.
        letterhead: What the workspace's messages share.
        now: When the step was handed over.

    Raises:
        DripError: a RenderError: this webhook cannot be sent.
    """
    payload = _fill(send_id, content, context, letterhead)
    if not payload:
        payload = {name: str(context[name]) for name in _LEAD if context.get(name)}
    body = {
        "type": f"step.{content['step']}",
        "timestamp": now.astimezone(UTC).isoformat(timespec="milliseconds"),
        "data": {"send_id": send_id, "payload": payload},
    }
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Message(send_id, "webhook", "", "", data, str(send_id))


def compose_form(
    send_id: int,
    content: Mapping[str, Any],
    context: Mapping[str, object],
    *,
    sender: Sender,
    letterhead: Letterhead,
) -> Message:
    """Compose a form that is filled in; no `message_id`, since nobody would name it to us.

    Args:
        send_id: The send; 0 in a preview.
        content: `payload`, a JSON object of templates, which are the fields in their order.
        context: The lead's variables, see `compose.lead_context`.
        sender: Who fills it in; a sender without an address has no `sender_name`.
        letterhead: What the workspace's messages share.

    Raises:
        DripError: a RenderError: this form cannot be sent.
    """
    if sender.address:
        name, address = split_address(sender.address)
        context = {**context, "sender_name": name or address}
    fields = _fill(send_id, content, context, letterhead)
    # Half a surrogate, which no UTF-8 has, becomes a question mark.
    data = urlencode(fields, errors="replace").encode("ascii")
    return Message(send_id, "form", "", "", data, "")


def _fill(
    send_id: int,
    content: Mapping[str, Any],
    context: Mapping[str, object],
    letterhead: Letterhead,
) -> dict[str, str]:
    unsubscribe = unsubscribe_url(letterhead.base_url, letterhead.token_key, send_id)
    values = {**context, "unsubscribe": unsubscribe}
    templates = json.loads(content.get("payload") or "{}")
    return {
        name: render_text(text, values, name=f"payload.{name}").strip()
        for name, text in templates.items()
    }
