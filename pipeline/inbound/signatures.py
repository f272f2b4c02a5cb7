"""Signatures of webhooks that come in: one function per scheme.

Belongs here: who a request is from. Does not: which provider uses which scheme (its file in
channels/providers), what the request says (mapping), signing our own (`channels.signing`).
"""

import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from standardwebhooks.webhooks import Webhook

from pipeline.channels.signing import read_secret
from pipeline.settings import DripError

TOLERANCE = timedelta(minutes=5)


class InvalidSignature(Exception):
    """The request was not signed with this workspace's secret, or not now."""


Verify = Callable[[str, Mapping[str, str], bytes, datetime], None]


def verify_standard_webhooks(
    secret: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> None:
    """Check the Standard Webhooks headers; header names in lower case.

    The library's own check reads the machine's clock, hence only its signing is used.

    Raises:
        InvalidSignature: with a reason that may be told to the sender.
    """
    webhook_id = headers.get("webhook-id")
    timestamp = headers.get("webhook-timestamp")
    signatures = headers.get("webhook-signature")
    if not (webhook_id and timestamp and signatures):
        raise InvalidSignature(
            "The headers webhook-id, webhook-timestamp and webhook-signature are needed."
        )
    at = _read_timestamp(timestamp)
    if abs(now - at) > TOLERANCE:
        raise InvalidSignature("webhook-timestamp is more than 5 minutes away from now.")
    try:
        expected = _webhook(secret).sign(webhook_id, at, body.decode())
    except UnicodeDecodeError:
        raise InvalidSignature("The body is not UTF-8.") from None
    # All are compared, so that the time taken does not tell which one was close.
    matches = [_is_same(given, expected) for given in signatures.split(" ")]
    if not any(matches):
        raise InvalidSignature("No signature in webhook-signature matches the body.")


SCHEMES: dict[str, Verify] = {"standard_webhooks": verify_standard_webhooks}


def _read_timestamp(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidSignature("webhook-timestamp is not a Unix time in seconds.") from None


def _is_same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _webhook(secret: str) -> Webhook:
    try:
        return read_secret(secret)
    except ValueError:
        raise DripError(
            "The webhook secret in keys.json is not `whsec_` and base64. Restore it from a backup."
        ) from None
