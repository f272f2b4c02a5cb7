"""Calls, WhatsApp messages, tasks and LinkedIn work as messages to a gateway or to a colleague.

Belongs here: what such a message says and to whom it goes. Pure: nothing is read, `now` is given.
Does not: e-mail and SMS (compose), requests over HTTP (requests), handing over (channels).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipeline.messages.compliance import create_message_id, format_date
from pipeline.messages.compose import Letterhead, Message, one_line
from pipeline.messages.links import unsubscribe_url
from pipeline.messages.mime import (
    build_plain,
    encode_address,
    encode_text,
    normalize_address,
    split_address,
)
from pipeline.messages.render import RenderError, render_text
from pipeline.sequences.model import Sender

NOTE_CHANNELS = ("call", "whatsapp", "task", "linkedin")
_TEXTS = {"call": "script", "whatsapp": "text", "task": "note", "linkedin": "text"}
_WORDS = {"call": "Call", "whatsapp": "WhatsApp to", "linkedin": "LinkedIn message to"}
_BY_PHONE = ("call", "whatsapp")
# What a colleague has to know of the lead, in this order.
_FACTS = ("email", "phone", "company")


def compose_note(
    send_id: int,
    channel: str,
    content: Mapping[str, Any],
    context: Mapping[str, object],
    *,
    sender: Sender,
    letterhead: Letterhead,
    now: datetime,
) -> Message:
    """Compose a call's script, a WhatsApp text, a task or a LinkedIn text as a plain message.

    A call or WhatsApp message goes to the gateway's address made of the phone number; without a
    gateway to the sender's own address, so that somebody makes it. A task or LinkedIn text goes to
    its `assignee`, else to the sender's address. `X-Channel` and `X-Recipient` are for machines.

    Args:
        send_id: The send; 0 in a preview.
        channel: One of `NOTE_CHANNELS`.
        content: `script`, `text`, or `title` and `note` (templates); `assignee` (an address).
        context: The lead's variables, see `compose.lead_context`.
        sender: Who writes; its `to` is the gateway, such as `{{ phone }}@calls.example.com`.
        letterhead: What the workspace's messages share.
        now: The Date.

    Raises:
        DripError: a RenderError, HeaderInjection or InvalidAddress: this message cannot be sent.
    """
    key = letterhead.token_key
    sender_name, sender_address = split_address(sender.address)
    unsubscribe = unsubscribe_url(letterhead.base_url, key, send_id)
    values = {**context, "sender_name": sender_name or sender_address, "unsubscribe": unsubscribe}
    name = _TEXTS[channel]
    text = _fill(content, name, values)
    if not text and channel != "task":
        raise RenderError(name, None, f"the {name} is empty for this lead. Write one.")
    who = _name(context)
    title = _fill(content, "title", values) if channel == "task" else f"{_WORDS[channel]} {who}"
    if not title:
        raise RenderError("title", None, "the title is empty for this lead. Write one.")
    message_id, _ = create_message_id(key, send_id, sender_address.rpartition("@")[2])
    to_name, to = _recipient(channel, content, values, sender.to, (sender_name, sender_address))
    headers = [
        ("From", encode_address(sender_name, sender_address)),
        ("To", encode_address(to_name, to, 4)),
        ("Subject", encode_text(one_line(title))),
        ("Date", format_date(now)),
        ("Message-ID", message_id),
        ("X-Channel", channel),
    ]
    if channel in _BY_PHONE and context.get("phone"):
        headers.append(("X-Recipient", encode_text(one_line(str(context["phone"])))))
    if not (channel in _BY_PHONE and sender.to):
        # A person reads it: who it is about stands below what to say.
        text = f"{text}\n\n{_about(who, context)}".strip()
    return Message(
        send_id, channel, sender_address, to, build_plain(headers, text=text + "\n"), message_id
    )


def _fill(content: Mapping[str, Any], name: str, values: Mapping[str, object]) -> str:
    source = content.get(name)
    if not source:
        return ""
    includes = content.get("includes") or {}
    return render_text(source, values, name=name, includes=includes).strip()


def _recipient(
    channel: str,
    content: Mapping[str, Any],
    values: Mapping[str, object],
    gateway: str | None,
    own: tuple[str, str],
) -> tuple[str, str]:
    if channel in _BY_PHONE and gateway:
        return "", normalize_address(render_text(gateway, values, name="to"))
    assignee = content.get("assignee")
    return split_address(assignee) if assignee else own


def _name(context: Mapping[str, object]) -> str:
    names = (context.get("first_name"), context.get("last_name"))
    full = " ".join(str(name) for name in names if name)
    return one_line(full) or one_line(str(context.get("email") or context.get("phone") or "a lead"))


def _about(who: str, context: Mapping[str, object]) -> str:
    facts = [one_line(str(context[name])) for name in _FACTS if context.get(name)]
    return "-- \n" + "\n".join(dict.fromkeys([who, *facts]))
