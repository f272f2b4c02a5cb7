"""Tracked addresses in both parts of a message."""

import re

import pytest

from pipeline.messages.links import read_click, read_open, unsubscribe_url
from pipeline.messages.render import Body
from pipeline.messages.tracking import add_open_pixel, track_links

KEY = b"k" * 32
BASE = "https://t.example.com"


def track(html: str, text: str = "") -> Body:
    return track_links(Body(html, text), base_url=BASE + "/", key=KEY, send_id=7)


def clicks(text: str) -> list[tuple[int, str]]:
    tokens = re.findall(rf"{BASE}/c/([\w-]+)", text)
    return [(click.link_no, click.url) for click in (read_click(KEY, token) for token in tokens)]


def test_html_links_lead_to_their_targets_by_way_of_us() -> None:
    body = track('<a href="https://a.b/?x=1&amp;y=2">x</a> <a class="c" href="http://d.e">y</a>')
    assert clicks(body.html) == [(0, "https://a.b/?x=1&y=2"), (1, "http://d.e")]
    assert body.html.endswith(">y</a>")


def test_text_links_have_the_number_of_the_same_link_in_the_html() -> None:
    body = track('<a href="https://a.b">x</a><a href="https://c.d">y</a>',
                 "y (https://c.d), see https://a.b. New: https://e.f/(g)!")  # fmt: skip
    assert clicks(body.text) == [(1, "https://c.d"), (0, "https://a.b"), (2, "https://e.f/(g)")]
    assert re.sub(rf"{BASE}/c/[\w-]+", "L", body.text) == "y (L), see L. New: L!"


def test_the_same_link_twice_in_the_html_is_two_links() -> None:
    body = track('<a href="https://a.b">x</a><a href="https://a.b">y</a>', "https://a.b")
    assert [number for number, _ in clicks(body.html)] == [0, 1]
    assert clicks(body.text) == [(0, "https://a.b")]


@pytest.mark.parametrize(
    "address",
    ["mailto:a@b.c", "tel:+123", "#top", unsubscribe_url(BASE, KEY, 7), "https://a.b/\x01"],
)
def test_other_addresses_stay_as_they_are(address: str) -> None:
    html = f'<a href="{address}">x</a>'
    assert track(html, address) == Body(html, address)


def test_an_image_is_no_link() -> None:
    html = '<img src="https://a.b/l.png">'
    assert track(html).html == html


def test_the_pixel_is_last_and_names_the_send() -> None:
    html = add_open_pixel("<p>Hi</p>", base_url=BASE, key=KEY, send_id=7)
    assert html.startswith("<p>Hi</p><img ")
    found = re.search(rf'src="{BASE}/o/([\w-]+)\.gif"', html)
    assert found is not None
    assert read_open(KEY, found[1]) == 7
