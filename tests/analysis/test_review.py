import hashlib
import html
import os
import re
import runpy
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from pipeline.analysis import findings
from pipeline.analysis.review import count_states, render_piece, render_review, write_review
from pipeline.settings import DripError, load_settings
from pipeline.warehouse.read import NothingPublished, open_warehouse, query

ROOT = Path(__file__).parents[2]
PUBLISHED = runpy.run_path(str(ROOT / "tests" / "published.py"))
NOW = PUBLISHED["NOW"]


@pytest.fixture
def settings(tmp_path):
    return load_settings(home=tmp_path / "home", sequences=ROOT / "sequences")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    home = tmp_path_factory.mktemp("published")
    PUBLISHED["publish"](home)
    return write_review(load_settings(home=home, sequences=ROOT / "sequences"), NOW)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_file_is_named_by_the_week_in_the_zone_of_the_workspace(settings):
    PUBLISHED["publish"](settings.home)
    sunday = datetime(2026, 3, 29, 22, 59, tzinfo=UTC)
    assert write_review(settings, sunday) == settings.home / "reports" / "2026-W13.html"
    # London is on summer time since that morning: 23:00 UTC is Monday there.
    monday = write_review(settings, sunday + timedelta(minutes=1))
    assert monday.name == "2026-W14.html"
    assert [path.name for path in sorted(monday.parent.iterdir())] == [
        "2026-W13.html",
        "2026-W14.html",
    ]


def test_the_same_warehouse_gives_the_same_bytes_whenever_it_is_asked(settings):
    PUBLISHED["publish"](settings.home)
    first = digest(write_review(settings, NOW))
    assert digest(write_review(settings, NOW)) == first
    assert digest(write_review(settings, NOW + timedelta(days=30))) == first


def test_without_a_published_warehouse_the_error_says_what_to_run(settings):
    with pytest.raises(NothingPublished, match="Run `drip refresh`"):
        write_review(settings, NOW)
    assert not (settings.home / "reports").exists()


def test_without_a_workspace_the_error_names_the_file(tmp_path):
    PUBLISHED["publish"](tmp_path)
    with pytest.raises(DripError, match=r"workspace\.yml"):
        write_review(load_settings(home=tmp_path, sequences=tmp_path / "none"), NOW)


def test_an_empty_warehouse_gives_a_page_that_says_what_is_missing(settings):
    PUBLISHED["publish"](settings.home, facts=False)
    page = write_review(settings, NOW).read_text(encoding="utf-8")
    for words in ("No experiment is registered yet", "Nobody is enrolled yet", "Nobody has conv"):
        assert words in page


def test_the_page_has_no_script_and_no_outside_address(written):
    page = written.read_text(encoding="utf-8")
    assert "<script" not in page
    assert re.findall(r"""(?:src|href|url|action)\s*[=(]\s*["']?(?!["'#])""", page) == []
    assert not re.search(r"\bon\w+\s*=\s*[\"']", page)
    assert "http://" not in page
    assert "https://" not in page


def test_names_from_outside_are_shown_as_text(written):
    page = written.read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "it&#39;s &lt;b&gt;&#34;50 $&#34;&lt;/b&gt;" in page


def test_the_page_says_of_which_facts_it_is(written):
    page = written.read_text(encoding="utf-8")
    for words in (
        "My workspace",
        "Experiment review, week 47 of 2026",
        "Monday, 16 November 2026, 09:00",
        "refresh-of-the-test",
        "snapshots/2026-W47.duckdb",
    ):
        assert words in page


def test_every_command_in_the_page_runs(written):
    page = written.read_text(encoding="utf-8")
    commands = [html.unescape(code) for code in re.findall(r"<pre><code>(.+?)</code>", page, re.S)]
    assert len(commands) > 30
    script = "drip() { printf '%s\\0' \"$2\"; }\n" + "\n".join(commands)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    for sql in done.stdout.split("\0")[:-1]:
        query(written.parents[1], sql)


def test_every_piece_carries_its_commands(written):
    page = written.read_text(encoding="utf-8")
    articles = re.findall(r"<article.+?</article>", page, re.S)
    assert len(articles) == 13
    assert all("drip query" in article for article in articles)


def test_a_notebook_shows_the_card_of_the_page(written):
    with open_warehouse(written.parents[1]) as con:
        card = findings.experiment_cards(con)[1]
        piece = render_piece("experiment", card)
        page = render_review(con, "My workspace")
    article = piece[piece.index("<article") : piece.index("</article>")]
    assert article in page


def test_states_are_counted_in_their_order(written):
    with open_warehouse(written.parents[1]) as con:
        cards = findings.experiment_cards(con)
    assert [(state, count) for state, _, count in count_states(cards)] == [
        ("invalid", 1),
        ("winner", 1),
        ("either_of", 1),
        ("running", 2),
        ("collecting", 1),
    ]


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is absent")
        pytest.skip("Chromium is absent: apt-get install chromium")
    arguments = ["--headless", "--no-sandbox", "--disable-background-networking"]
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_from_a_file_and_asks_nobody(browser, written, scheme):
    page = browser.new_page(color_scheme=scheme)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(written.as_uri())
    heading = page.get_by_role("heading", name="Experiment review, week 47 of 2026")
    expect(heading).to_be_visible()
    charts = page.get_by_role("img", name="welcome_subject: Difference from the control")
    expect(charts.first).to_be_visible()
    expect(page.get_by_role("img", name="new_lead: share converted")).to_be_visible()
    assert asked == [written.as_uri()]
    assert said == []
    brightness = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    )
    assert (brightness > 128) == (scheme == "light")
    page.close()


@pytest.mark.parametrize("width", [340, 800, 1400])
def test_the_page_fits_its_screen(browser, written, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(written.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_the_page_prints_light_and_without_cut_tables(browser, written):
    page = browser.new_page(color_scheme="dark")
    page.goto(written.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "light"
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()
