"""Looking at a message before anybody gets it.

Belongs here: taking a composed message apart for the terminal, and a page to open in a browser.
Does not: choosing the lead and the step (cli), composing (compose).
"""

import json
import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html import escape
from pathlib import Path
from urllib.parse import parse_qsl

from pipeline.messages.compliance import lint_message
from pipeline.messages.compose import Message
from pipeline.messages.requests import FORM_TYPE

_UNSUBSCRIBE = re.compile(r"https?://[^\s\"<>]*/u/[\w-]+")
_PIXEL = re.compile(r'<img src="[^"]*/o/[\w-]+\.gif"[^>]*>')


@dataclass(frozen=True)
class Preview:
    """What a recipient would get, in parts. `html` is None where the channel has none."""

    headers: list[tuple[str, str]]
    text: str
    html: str | None
    warnings: list[str]


def preview_message(message: Message) -> Preview:
    """Take a composed message apart; without the open pixel, so that looking counts nothing."""
    if message.channel == "form":
        return _preview_form(message)
    if message.channel == "webhook":
        headers = [("Content-Type", "application/json"), ("Webhook-Id", message.message_id)]
        told = json.dumps(json.loads(message.data), ensure_ascii=False, indent=2)
        return Preview(headers, told, None, [])
    parsed = message_from_bytes(message.data, policy=default)
    headers = [(name, str(value)) for name, value in parsed.items()]
    text = _part(parsed, "plain") or ""
    html = _part(parsed, "html")
    found = _UNSUBSCRIBE.search(str(parsed["List-Unsubscribe"] or text))
    content = {
        "subject": str(parsed["Subject"] or ""),
        "text": text,
        "unsubscribe": found[0] if found else "{{ unsubscribe }}",
    }
    warnings = lint_message(message.channel, content)
    return Preview(headers, text, _PIXEL.sub("", html) if html else None, warnings)


def _preview_form(message: Message) -> Preview:
    """Show a line for each field; what it has of further lines stands under it."""
    fields = parse_qsl(message.data.decode(), keep_blank_values=True)
    text = "\n".join(f"{name}: {value}".replace("\n", "\n    ") for name, value in fields)
    found = _UNSUBSCRIBE.search(text)
    content = {"text": text, "unsubscribe": found[0] if found else "{{ unsubscribe }}"}
    return Preview([("Content-Type", FORM_TYPE)], text, None, lint_message("form", content))


def write_preview(preview: Preview, path: Path) -> Path:
    """Write a page that shows headers, HTML and text; it loads and runs nothing by itself."""
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in preview.headers
    )
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in preview.warnings)
    frame = (
        f'<h2>HTML</h2><iframe sandbox="" title="HTML part" srcdoc="{escape(preview.html)}">'
        "</iframe>"
        if preview.html
        else ""
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Preview</title>'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src https: http: data:\"><style>"
        "body{font:15px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;"
        "color:#1f2937}th{text-align:left;vertical-align:top;padding-right:1rem;color:#4b5563;"
        "font-weight:600;white-space:nowrap}td{overflow-wrap:anywhere}"
        "iframe{width:100%;height:34rem;border:1px solid #d1d5db;border-radius:6px}"
        "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f3f4f6;padding:1rem;"
        "border-radius:6px}ul{color:#92400e}</style></head><body><h1>Preview</h1>"
        f"<table>{rows}</table><ul>{warnings}</ul>{frame}<h2>Text</h2>"
        f"<pre>{escape(preview.text)}</pre></body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def _part(parsed: EmailMessage, subtype: str) -> str | None:
    part = parsed.get_body((subtype,))
    return None if part is None else str(part.get_content()).replace("\r\n", "\n")
