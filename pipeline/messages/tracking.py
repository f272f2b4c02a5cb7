"""Putting tracked addresses into a message: clicks in both parts, the open pixel in the HTML.

Belongs here: finding the links of a filled-in body and replacing them.
Does not: what a token holds (links), what a request to it means (inbound).
"""

import re
from html import escape, unescape

from pipeline.messages.links import click_url, open_url
from pipeline.messages.render import Body

_HREF = re.compile(r'(<a\s[^>]*?\bhref=")(https?://[^"]*)(?=")', re.IGNORECASE)
_TEXT_URL = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_OURS = ("/u/", "/c/", "/o/")
_LAST_LINK_NO = 65_535


class _Links:
    """Numbers the links of one message in the order of the HTML, and signs them."""

    def __init__(self, base_url: str, key: bytes, send_id: int) -> None:
        self.base_url = base_url.rstrip("/")
        self.key = key
        self.send_id = send_id
        self.count = 0
        self.known: dict[str, str] = {}
        self.ours = tuple(self.base_url + path for path in _OURS)

    def new(self, target: str) -> str:
        """Return the tracked address of the next link."""
        if target.startswith(self.ours) or self.count > _LAST_LINK_NO:
            return target
        try:
            address = click_url(self.base_url, self.key, self.send_id, self.count, target)
        except ValueError:
            return target  # not an address that a browser would follow: left as written
        self.count += 1
        self.known.setdefault(target, address)
        return address

    def same(self, target: str) -> str:
        """Return the address that the HTML has for this target, else that of a new link."""
        return self.known.get(target) or self.new(target)


def track_links(body: Body, *, base_url: str, key: bytes, send_id: int) -> Body:
    """Replace the http(s) links of both parts; mailto, tel and our own addresses stay."""
    links = _Links(base_url, key, send_id)

    def in_html(found: re.Match[str]) -> str:
        return found[1] + escape(links.new(unescape(found[2])))

    def in_text(found: re.Match[str]) -> str:
        target = _trim(found[0])
        return links.same(target) + found[0][len(target) :]

    html = _HREF.sub(in_html, body.html)
    return Body(html, _TEXT_URL.sub(in_text, body.text))


def add_open_pixel(html: str, *, base_url: str, key: bytes, send_id: int) -> str:
    """Append the open pixel: last, so that a reader sees the message before it is asked for."""
    address = escape(open_url(base_url, key, send_id))
    return f'{html}<img src="{address}" width="1" height="1" alt="">\n'


def _trim(url: str) -> str:
    """Cut off the punctuation of the sentence around an address."""
    while url[-1] in ".,;:!?'*]" or (url[-1] == ")" and url.count("(") < url.count(")")):
        url = url[:-1]
    return url
