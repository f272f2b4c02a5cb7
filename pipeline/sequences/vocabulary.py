"""The words of the ledger: event kinds, verdicts, channels. One enum each, used by everybody.

Belongs here: closed vocabularies of design.md section 4. Does not: anything with behaviour.
"""

from enum import StrEnum


class EventKind(StrEnum):
    """What can happen to a lead or a message, in the past tense."""

    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"
    BOUNCED = "bounced"
    OPENED = "opened"
    CLICKED = "clicked"
    REPLIED = "replied"
    AUTO_REPLIED = "auto_replied"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"
    MEETING_BOOKED = "meeting_booked"
    CALL_ANSWERED = "call_answered"
    CALL_MISSED = "call_missed"
    CALLBACK_REQUESTED = "callback_requested"
    CONVERTED = "converted"
    CONVERSION_REVERSED = "conversion_reversed"
    REJECTED = "rejected"
    CUSTOM = "custom"


class Verdict(StrEnum):
    """Who caused an event, as far as the classifier can tell."""

    HUMAN = "human"
    UNCERTAIN = "uncertain"
    MACHINE = "machine"


class Channel(StrEnum):
    """How a message travels."""

    EMAIL = "email"
    SMS = "sms"
    CALL = "call"
    WHATSAPP = "whatsapp"
    TASK = "task"
    LINKEDIN = "linkedin"
    WEBHOOK = "webhook"
    FORM = "form"


NO_CONTACT = frozenset({Channel.TASK, Channel.LINKEDIN, Channel.WEBHOOK})
"""Channels that contact nobody by themselves: no cap counts them (R10)."""

BY_PHONE = frozenset({Channel.SMS, Channel.CALL, Channel.WHATSAPP})
"""Channels that reach a lead by phone number."""
