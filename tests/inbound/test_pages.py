import re
from html.parser import HTMLParser

import pytest

from pipeline.inbound.pages import (
    PAGE_HEADERS,
    try_again_page,
    unknown_link_page,
    unsubscribe_page,
    unsubscribed_page,
)

PAGES = {
    "unsubscribe": unsubscribe_page("Acme"),
    "unsubscribed": unsubscribed_page("Acme"),
    "unknown link": unknown_link_page(),
    "try again": try_again_page(),
    "go on": try_again_page("https://example.com/"),
}


class Tags(HTMLParser):
    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_a_page_is_whole_has_a_language_a_title_and_loads_nothing(page: bytes) -> None:
    tags = Tags(page)
    names = [tag for tag, _ in tags.seen]
    assert tags.open == []
    assert ("html", {"lang": "en"}) in tags.seen
    assert {"title", "h1", "main"} <= set(names)
    assert not {"script", "img", "link", "iframe"} & set(names)
    assert b"url(" not in page
    assert "default-src 'none'" in PAGE_HEADERS["content-security-policy"]


def test_the_unsubscribe_page_posts_to_its_own_address() -> None:
    tags = Tags(unsubscribe_page(""))
    assert ("form", {"method": "post"}) in tags.seen
    assert ("button", {"name": "action", "value": "unsubscribe"}) in tags.seen
    assert b"from" not in re.sub(rb"<style>.*</style>", b"", unsubscribe_page(""), flags=re.S)


def test_names_and_links_are_escaped() -> None:
    for page in (unsubscribe_page("<b>&Co"), unsubscribed_page("<b>&Co")):
        assert b"from &lt;b&gt;&amp;Co." in page
    page = try_again_page('https://example.com/"><script>alert(1)</script>')
    assert b"<script" not in page
    assert "script" not in [tag for tag, _ in Tags(page).seen]
