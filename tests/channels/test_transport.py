"""The choice of a transport, and reasons that name nobody."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.channels.http import HttpTransport
from pipeline.channels.maildir import MaildirTransport
from pipeline.channels.smtp import SmtpTransport
from pipeline.channels.transport import create_transport, scrub_reason
from pipeline.messages.compose import Message
from pipeline.settings import DripError, Settings


def spec(kind: str) -> SimpleNamespace:
    return SimpleNamespace(kind=kind, host="localhost", port=25, username=None, tls="none")


def message(to: str) -> Message:
    return Message(1, "email", "a@example.com", to, b"", "<1@x>")


def test_http_takes_its_secret_from_the_settings(tmp_path: Path) -> None:
    way = SimpleNamespace(kind="http", url="https://a.example/in")
    made = create_transport("out", way, tmp_path, Settings(http_secret="whsec_" + "dGVz" * 8))
    assert isinstance(made, HttpTransport)
    with pytest.raises(DripError, match="DRIP_HTTP_SECRET"):
        create_transport("out", way, tmp_path, Settings())
    made = create_transport("out", way, tmp_path, Settings(), is_signing=False)
    assert isinstance(made, HttpTransport)


@pytest.mark.parametrize(("kind", "made"), [("maildir", MaildirTransport), ("smtp", SmtpTransport)])
def test_the_kind_chooses_the_transport(kind: str, made: type, tmp_path: Path) -> None:
    assert isinstance(create_transport("local", spec(kind), tmp_path, Settings()), made)


def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DripError, match=r"pigeon\. Write maildir, smtp or http"):
        create_transport("local", spec("pigeon"), tmp_path, Settings())


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        pytest.param("550 5.1.1 <Ann.Lee@Example.net>: no", "550 5.1.1 <recipient>: no", id="to"),
        pytest.param("550 user ann.lee unknown", "550 user <recipient> unknown", id="local part"),
        pytest.param("550 see bob@example.org", "550 see <address>", id="another"),
        pytest.param("450 call +15551234567\r\n now", "450 call <number> now", id="number, lines"),
        pytest.param("450 4.2.1 busy", "450 4.2.1 busy", id="nothing to hide"),
    ],
)
def test_reasons_lose_addresses_and_numbers(words: str, kept: str) -> None:
    assert scrub_reason(words, message("ann.lee@example.net")) == kept


@given(
    st.text(), st.text(), st.from_regex(r"[a-z]{3,8}\.[0-9]{3,9}@[a-z]{3,8}\.com", fullmatch=True)
)
def test_no_reason_holds_the_recipient(before: str, after: str, to: str) -> None:
    reason = scrub_reason(before + to.upper() + after, message(to)).lower()
    assert to not in reason
    assert len(reason) <= 200
    assert "\n" not in reason
