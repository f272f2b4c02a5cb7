from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from pipeline.channels.signing import sign_webhook
from pipeline.inbound.signatures import InvalidSignature, verify_standard_webhooks
from pipeline.settings import DripError

SECRET = "whsec_" + "dGVz" * 8
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


@given(st.text(), st.timedeltas(timedelta(minutes=-5), timedelta(minutes=5)))
def test_what_was_signed_within_five_minutes_is_accepted(body: str, age: timedelta) -> None:
    encoded = body.encode("utf-8", "replace")
    at = (NOW + age).replace(microsecond=0)
    if abs(at - NOW) <= timedelta(minutes=5):
        headers = sign_webhook(SECRET, "msg_1", at, encoded)
        verify_standard_webhooks(SECRET, headers, encoded, NOW)


def test_our_signature_is_what_the_library_verifies() -> None:
    headers = sign_webhook(SECRET, "msg_1", datetime.now(UTC), b'{"a": 1}')
    assert Webhook(SECRET).verify(b'{"a": 1}', headers) == {"a": 1}


def test_one_of_several_signatures_is_enough() -> None:
    headers = sign_webhook(SECRET, "msg_1", NOW, b"{}")
    headers["webhook-signature"] = "v1a,AAAA v1,QUJD " + headers["webhook-signature"]
    verify_standard_webhooks(SECRET, headers, b"{}", NOW)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"webhook-id": "msg_2"}, "No signature"),
        ({"webhook-id": ""}, "are needed"),
        ({"webhook-signature": "v1,"}, "No signature"),
        ({"webhook-signature": "naïve"}, "No signature"),
        ({"webhook-timestamp": "soon"}, "not a Unix time"),
        ({"webhook-timestamp": "9" * 30}, "not a Unix time"),
        ({"webhook-timestamp": str(int(NOW.timestamp()) + 1)}, "No signature"),
        ({"webhook-timestamp": str(int(NOW.timestamp()) - 301)}, "more than 5 minutes"),
        ({"webhook-timestamp": str(int(NOW.timestamp()) + 301)}, "more than 5 minutes"),
    ],
)
def test_a_changed_header_is_refused_with_its_reason(changed: dict[str, str], reason: str) -> None:
    headers = sign_webhook(SECRET, "msg_1", NOW, b"{}") | changed
    with pytest.raises(InvalidSignature, match=reason):
        verify_standard_webhooks(SECRET, headers, b"{}", NOW)


@given(st.binary())
def test_no_other_body_has_the_same_signature(body: bytes) -> None:
    headers = sign_webhook(SECRET, "msg_1", NOW, b'{"type": "ping"}')
    with pytest.raises(InvalidSignature):
        verify_standard_webhooks(SECRET, headers, body, NOW)


def test_another_workspaces_secret_is_refused() -> None:
    headers = sign_webhook("whsec_" + "b3Ro" * 8, "msg_1", NOW, b"{}")
    with pytest.raises(InvalidSignature):
        verify_standard_webhooks(SECRET, headers, b"{}", NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_a", "whsec_é"])
def test_a_broken_secret_is_named_as_such(secret: str) -> None:
    headers = sign_webhook(SECRET, "msg_1", NOW, b"{}")
    with pytest.raises(DripError, match=r"webhook secret in keys\.json"):
        verify_standard_webhooks(secret, headers, b"{}", NOW)
