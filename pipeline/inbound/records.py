"""A valid lead and a valid event, as they come in from anywhere, and coarse networks.

Belongs here: the one definition of both, with messages that say what to write instead.
Does not: where they come from (api, mapping, importers), what the ledger makes of them (ingest).
"""

import hashlib
import hmac
import math
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapValidator,
    field_serializer,
    model_validator,
)

from pipeline.inbound.landing import format_instant
from pipeline.sequences.calendars import list_zones
from pipeline.sequences.vocabulary import EventKind

AGENT_LENGTH = 300
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\.]+(\.[^\s@<>,;:\"()\[\]\\.]+)+")
_PHONE = re.compile(r"\+[1-9][0-9]{5,14}")
_PHONE_FILLERS = re.compile(r"[\s().\-/]")


def _check_email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise ValueError("should be one address such as ann@example.com")
    return text.lower()


def _check_phone(text: str) -> str:
    digits = _PHONE_FILLERS.sub("", text)
    if not _PHONE.fullmatch(digits):
        raise ValueError("should begin with + and the country code, such as +15551234567")
    return digits


def _check_zone(text: str) -> str:
    if text not in list_zones():
        raise ValueError("should be an IANA zone such as Europe/Berlin")
    return text


def _empty_to_none(value: object) -> object:
    # Forms and CRMs send "" for what nobody filled in.
    return None if isinstance(value, str) and not value.strip() else value


def _check_scalars(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        is_finite = not isinstance(value, float) or math.isfinite(value)
        if not (isinstance(value, str | int | float | None) and is_finite):
            raise ValueError(f"{name} should be text, a number, true, false or null")
    return values


def _check_year(moment: datetime) -> datetime:
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"should be between {_FIRST_YEAR} and {_LAST_YEAR}")
    return moment


def _check_value(value: object, read: Callable[[object], object]) -> object:
    try:
        return read(value)
    except ValidationError:
        raise ValueError("should be an amount of money such as 12.50, or one word") from None


def _check_instant(value: object) -> object:
    # bool is an int, and 1.0e400 overflows: neither is a moment.
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("should be a moment such as 2026-11-02T09:30:00Z")
    return value


_Blank = BeforeValidator(_empty_to_none)
# Keys of CRMs often come as numbers.
_Word = Annotated[Annotated[str, Field(max_length=200, coerce_numbers_to_str=True)] | None, _Blank]
_Text = Annotated[Annotated[str, Field(max_length=2000)] | None, _Blank]
_Email = Annotated[
    Annotated[str, Field(max_length=254), AfterValidator(_check_email)] | None, _Blank
]
_Phone = Annotated[
    Annotated[str, Field(max_length=40), AfterValidator(_check_phone)] | None, _Blank
]
_Zone = Annotated[Annotated[str, AfterValidator(_check_zone)] | None, _Blank]
_Instant = Annotated[
    Annotated[AwareDatetime, BeforeValidator(_check_instant), AfterValidator(_check_year)] | None,
    _Blank,
]
# An amount of money, or the word of a custom event, such as a deal's stage.
_Value = Annotated[
    Annotated[Decimal, Field(max_digits=18, decimal_places=4)]
    | Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,59}$")],
    Field(union_mode="left_to_right"),
    WrapValidator(_check_value),
]
_Scalars = Annotated[dict[str, Any], Field(max_length=100), AfterValidator(_check_scalars)]


class _Message(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        str_strip_whitespace=True,
        allow_inf_nan=False,
    )

    def dump(self) -> dict[str, Any]:
        """Return what a landing line holds: JSON values, unset fields left out."""
        return self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


class Lead(_Message):
    """A lead as it comes in. At least one of email, phone and external_id is needed."""

    email: _Email = None
    phone: _Phone = None
    first_name: _Word = None
    last_name: _Word = None
    external_id: _Word = None
    source: _Word = None
    country: Annotated[
        Annotated[str, Field(pattern="^[A-Z]{2}$", description="ISO 3166 alpha-2")] | None, _Blank
    ] = None
    timezone: _Zone = None
    created_at: _Instant = None
    attributes: _Scalars = Field(default_factory=dict)
    details: _Scalars = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if not (self.email or self.phone or self.external_id):
            raise ValueError("a lead needs an email, a phone or an external_id")
        return self

    @field_serializer("created_at")
    def _write_created_at(self, moment: datetime | None) -> str | None:
        return format_instant(moment) if moment else None


class Event(_Message):
    """An event as it comes in, with one or more ways to find its lead."""

    key: Annotated[str, Field(max_length=300)] | None = None
    kind: EventKind
    name: _Word = None
    occurred_at: _Instant = None
    send_id: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    message_id: _Text = None
    email: _Email = None
    phone: _Phone = None
    external_id: _Word = None
    url: _Text = None
    callback_at: _Instant = None
    value: _Value | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$", description="ISO 4217")] | None = None
    agent: Annotated[str, AfterValidator(lambda text: text[:AGENT_LENGTH])] | None = None
    network: Annotated[str, Field(max_length=64)] | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not (self.send_id or self.message_id or self.email or self.phone or self.external_id):
            raise ValueError(
                "an event needs a send_id, a message_id, an email, a phone or an external_id"
            )
        if isinstance(self.value, str) and self.kind != EventKind.CUSTOM:
            raise ValueError("value: should be an amount of money such as 12.50")
        if isinstance(self.value, Decimal) and self.currency is None:
            raise ValueError("a value needs its currency, such as EUR")
        if self.kind in _NAMED_KINDS and not self.name:
            raise ValueError(f"a {self.kind} event needs a name: the goal or the event's own name")
        return self

    @field_serializer("value")
    def _write_value(self, value: Decimal | str | None) -> str | None:
        return format(value, "f") if isinstance(value, Decimal) else value

    @field_serializer("occurred_at", "callback_at")
    def _write_moment(self, moment: datetime | None) -> str | None:
        return format_instant(moment) if moment else None


class Whom(_Message):
    """A lead that is there already. At least one of email, phone and external_id is needed."""

    email: _Email = None
    phone: _Phone = None
    external_id: _Word = None

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if not (self.email or self.phone or self.external_id):
            raise ValueError("a lead is named by an email, a phone or an external_id")
        return self


class EnrollmentRequest(_Message):
    """A request to enroll a lead. The same `key` twice is one request."""

    sequence: Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,59}$", description="File name")]
    lead: Whom
    starts_at: _Instant = None
    context: _Scalars = Field(default_factory=dict, description="Kept for the sequence's texts")
    by: Annotated[Annotated[str, Field(max_length=100)] | None, _Blank] = None
    key: Annotated[str, Field(max_length=300)] | None = None

    @field_serializer("starts_at")
    def _write_starts_at(self, moment: datetime | None) -> str | None:
        return format_instant(moment) if moment else None


class BlockRequest(_Message):
    """A request never to contact a lead again, by any channel; it cannot be taken back."""

    lead: Whom
    by: Annotated[Annotated[str, Field(max_length=100)] | None, _Blank] = None
    key: Annotated[str, Field(max_length=300)] | None = None


_NAMED_KINDS = (EventKind.CONVERTED, EventKind.CONVERSION_REVERSED, EventKind.CUSTOM)


def network_hasher(salt: str) -> Callable[[str | None], str | None]:
    """Return a function from an address to the keyed hash of its /24 or /48; None if it is none."""
    key = salt.encode()

    @lru_cache(maxsize=4096)
    def hash_network(address: str | None) -> str | None:
        try:
            parsed = ip_address((address or "").strip())
        except ValueError:
            return None
        mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
        parsed = mapped or parsed
        prefix = 48 if isinstance(parsed, IPv6Address) else 24
        network = ip_network(f"{parsed}/{prefix}", strict=False)
        return hmac.digest(key, str(network).encode(), hashlib.sha256).hex()[:24]

    return hash_network


def describe(error: ValidationError) -> str:
    """Say in one line what is wrong with a message, without repeating what it held."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc'])}: {plain_message(item['msg'])}"
        if item["loc"]
        else plain_message(item["msg"])
        for item in error.errors(include_url=False, include_input=False)
    )


def plain_message(message: str) -> str:
    """Return a message of pydantic without its own prefix."""
    return message.removeprefix("Value error, ")
