"""Looking at a message."""

from datetime import UTC, datetime
from html import unescape
from pathlib import Path

from pipeline.messages.compose import Letterhead, Message, compose_email, compose_sms
from pipeline.messages.preview import preview_message, write_preview

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LETTERHEAD = Letterhead("https://t.example.com", "Acme Ltd, 1 Street", b"k" * 32)


def email(subject: str = "Hé <you>") -> Message:
    return compose_email(
        0,
        {"subject": subject, "body_text": "# Hello\n\nText"},
        {},
        sender="sales@acme.example",
        recipient="ann@example.net",
        letterhead=LETTERHEAD,
        now=NOW,
    )


def test_a_preview_shows_headers_text_and_html_without_the_pixel() -> None:
    preview = preview_message(email())
    assert dict(preview.headers)["Subject"] == "Hé <you>"
    assert preview.text.startswith("Hello\n\nText")
    assert preview.html is not None
    assert "<h1>Hello</h1>" in preview.html
    assert "/o/" not in preview.html
    assert preview.warnings == []


def test_a_preview_warns() -> None:
    assert len(preview_message(email("x" * 90)).warnings) == 1


def test_an_sms_has_no_html_and_its_own_warnings() -> None:
    message = compose_sms(
        0,
        {"text": "Hi"},
        {"phone": "+155512345"},
        sender="sales@acme.example",
        gateway="{{ phone }}@sms.example.com",
        letterhead=LETTERHEAD,
        now=NOW,
    )
    preview = preview_message(message)
    assert (preview.text, preview.html) == ("Hi\n", None)
    assert preview.warnings == ["The text shows no way to unsubscribe. Add {{ unsubscribe }}."]


def test_the_page_shows_everything_and_runs_nothing(tmp_path: Path) -> None:
    path = write_preview(preview_message(email()), tmp_path / "reports" / "preview.html")
    page = path.read_text(encoding="utf-8")
    assert "Hé &lt;you&gt;" in page
    assert "<h1>Hello</h1>" in unescape(page)
    assert 'sandbox=""' in page
    assert "default-src 'none'" in unescape(page)
    assert "<script" not in page
