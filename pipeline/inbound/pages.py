"""The few pages that a recipient sees: unsubscribe, its confirmation, a link that leads nowhere.

Belongs here: their words and markup, self-contained, nothing loaded from anywhere.
Does not: when they are shown (server).
"""

from html import escape

PAGE_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto 0;
  padding: 0 1rem; color: #1a1a1a; background: #fff; }}
button {{ font: inherit; padding: .6rem 1.2rem; border: 0; border-radius: .4rem; cursor: pointer;
  color: #fff; background: #0b57d0; }}
@media (prefers-color-scheme: dark) {{
  body {{ color: #eee; background: #161616; }}
  a {{ color: #8ab4f8; }}
}}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def unsubscribe_page(workspace_name: str) -> bytes:
    """Ask whether to unsubscribe; the button posts to the page's own address."""
    return _page(
        "Unsubscribe?",
        f"<p>You will get no more emails{_from(workspace_name)}.</p>"
        '<form method="post"><button name="action" value="unsubscribe">Unsubscribe</button></form>',
    )


def unsubscribed_page(workspace_name: str) -> bytes:
    """Confirm that the request was taken in."""
    return _page(
        "You are unsubscribed",
        f"<p>You will get no more emails{_from(workspace_name)}. You can close this page.</p>",
    )


def unknown_link_page() -> bytes:
    """Say that the address is not one of ours, or was cut off on its way."""
    return _page(
        "This link does not work",
        "<p>It may have been cut off. Please open it from the message again.</p>",
    )


def try_again_page(target: str | None = None) -> bytes:
    """Say that we cannot take anything in just now; a link's reader gets on by hand."""
    onward = (
        f'<p><a rel="noreferrer" href="{escape(target)}">Go on to {escape(target)}</a></p>'
        if target
        else "<p>Nothing was changed. Please try again in a minute.</p>"
    )
    return _page("This does not work right now", onward)


def _from(workspace_name: str) -> str:
    return f" from {escape(workspace_name)}" if workspace_name else ""


def _page(title: str, body: str) -> bytes:
    return _PAGE.format(title=title, body=body).encode()
