"""Signing by the Standard Webhooks rules, so that a receiver knows who writes.

Belongs here: the three headers of one request. Does not: checking what others sent us
(`inbound.signatures`), where the secret stands (`settings`).
"""

from datetime import UTC, datetime

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook


def read_secret(secret: str) -> Webhook:
    """Read a signing secret.

    Raises:
        ValueError: it is not `whsec_` and base64.
    """
    try:
        return Webhook(secret)
    except EmptyWebhookSecretError as error:
        raise ValueError("the secret is empty") from error


def sign_webhook(secret: str, webhook_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers that sign a body in UTF-8, with the second of `now`.

    Raises:
        ValueError: the secret is not `whsec_` and base64.
    """
    at = now.astimezone(UTC).replace(microsecond=0)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": read_secret(secret).sign(webhook_id, at, body.decode()),
    }
