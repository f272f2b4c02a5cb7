"""What we sign is what a receiver's own library verifies."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from pipeline.channels.signing import sign_webhook

SECRET = "whsec_" + "dGVz" * 8


@given(st.text().filter(lambda text: text.isprintable()), st.from_regex(r"[a-z0-9_]{1,20}"))
def test_the_library_verifies_what_we_sign(text: str, webhook_id: str) -> None:
    body = b'{"a": "' + text.replace("\\", "").replace('"', "").encode() + b'"}'
    headers = sign_webhook(SECRET, webhook_id, datetime.now(UTC), body)
    assert Webhook(SECRET).verify(body, headers)


def test_an_attempt_a_second_later_has_the_same_id_and_another_signature() -> None:
    first, second = (
        sign_webhook(SECRET, "7", datetime(2026, 1, 5, 15, 0, second, tzinfo=UTC), b"{}")
        for second in (0, 1)
    )
    assert first["webhook-id"] == second["webhook-id"] == "7"
    assert first["webhook-signature"] != second["webhook-signature"]


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_a"])
def test_what_is_no_secret_signs_nothing(secret: str) -> None:
    with pytest.raises(ValueError, match=r"secret|base64|padding|decoded"):
        sign_webhook(secret, "7", datetime(2026, 1, 5, tzinfo=UTC), b"{}")
