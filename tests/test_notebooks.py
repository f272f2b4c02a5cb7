import importlib.util
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from pipeline.warehouse.paths import warehouse_path
from pipeline.warehouse.read import NothingPublished

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
PUBLISHED = runpy.run_path(str(ROOT / "tests" / "published.py"))
TITLES = {
    "01_funnel": "Where do leads drop?",
    "02_experiments": "What did each experiment find?",
}

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture
def published(tmp_path, monkeypatch):
    PUBLISHED["publish"](tmp_path)
    monkeypatch.setenv("DRIP_HOME", str(tmp_path))
    return tmp_path


def run(notebook):
    """Run all cells, as `python notebook.py` would, and return what they define."""
    spec = importlib.util.spec_from_file_location(f"notebook_{notebook.stem}", notebook)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _, defined = module.app.run()
    return defined


def test_every_notebook_is_numbered_and_asks_one_question():
    assert {path.stem for path in NOTEBOOKS} == set(TITLES)
    assert all(re.fullmatch(r"\d\d_[a-z_]+", path.stem) for path in NOTEBOOKS)


@each_notebook
def test_a_notebook_opens_with_its_question_and_ends_with_its_limits(notebook):
    text = notebook.read_text(encoding="utf-8")
    parts = (f"# {TITLES[notebook.stem]}", "**Question.**", "**Answered by**", "**How to read")
    places = [text.index(part) for part in (*parts, "## Conclusion", "## Limits")]
    assert places == sorted(places)
    assert not re.search(r"\b(select|join)\b[^.]*\bfrom\b", text, re.IGNORECASE)


def test_marimo_finds_nothing_to_mend(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "marimo", "check", "--strict", *map(str, NOTEBOOKS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_funnel_notebook_shows_what_is_published(published):
    defined = run(NOTEBOOKS[0])
    assert [funnel.sequence_id for funnel in defined["funnels"]] == ["new_lead", "webinar"]
    assert defined["steps"]["enrollments"].sum() == 370
    assert "between contacted and opened: 120 of 270" in defined["conclusion"]
    charted = defined["targets_chart"].to_dict()
    (values,) = charted["datasets"].values()
    assert {row["rate"]: row["target"] for row in values} == {
        "Delivered": 0.95,
        "Bounced": 0.03,
        "Reported as spam": 0.001,
    }


def test_the_experiment_notebook_shows_what_is_published(published):
    defined = run(NOTEBOOKS[1])
    rows = {row["comparison"]: row for row in defined["intervals"].to_dicts()}
    assert rows["question against plain"]["found"] == "told apart"
    assert rows["question against plain"]["low"] > 0
    assert "**welcome_subject**: Winner: question." in defined["conclusion"]
    assert "<b>" not in defined["conclusion"]


@each_notebook
def test_a_notebook_of_an_empty_warehouse_runs_to_its_end(notebook, tmp_path, monkeypatch):
    PUBLISHED["publish"](tmp_path, facts=False)
    monkeypatch.setenv("DRIP_HOME", str(tmp_path))
    run(notebook)


@each_notebook
def test_a_cell_that_fails_is_an_error(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("DRIP_HOME", str(tmp_path))
    with pytest.raises(NothingPublished, match="drip refresh"):
        run(notebook)


def test_a_notebook_left_open_blocks_no_refresh_and_reads_the_next_one(published):
    kept = run(NOTEBOOKS[0])
    # Another process may take the file for writing: no cell holds it.
    code = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('checkpoint')"
    subprocess.run([sys.executable, "-c", code, str(warehouse_path(published))], check=True)
    PUBLISHED["publish"](published, facts=False)
    assert run(NOTEBOOKS[0])["funnels"] == []
    assert len(kept["funnels"]) == 2


@contextmanager
def served(notebook, home):
    """Serve one notebook as `drip up` does, on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "marimo", "run", str(notebook), "--headless", "--no-token"]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=home,
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and server.poll() is None:
            try:
                httpx.get(f"{address}/health", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(20)


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


@each_notebook
def test_a_served_notebook_shows_its_chart_and_asks_nobody_outside(browser, published, notebook):
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    with served(notebook, published) as address:
        page.goto(address)
        heading = page.get_by_role("heading", name=TITLES[notebook.stem])
        expect(heading).to_be_visible(timeout=60_000)
        expect(page.get_by_role("heading", name="Conclusion")).to_be_visible(timeout=60_000)
        chart = page.locator(".vega-embed").locator("canvas, svg").first
        expect(chart).to_be_visible(timeout=60_000)
        expect(page.locator("article.card").first).to_be_visible()
    page.close()
    assert len(asked) > 1
    assert {
        urlsplit(url).hostname for url in asked if urlsplit(url).scheme not in {"data", "blob"}
    } == {"127.0.0.1"}
