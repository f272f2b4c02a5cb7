import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from pipeline.defs.instance import dagster_home
from pipeline.defs.up import (
    LOOPBACK,
    NOTEBOOKS,
    Running,
    Service,
    answers,
    find_port,
    plan_services,
    run_all,
    stop_all,
)
from pipeline.ledger.locks import LockBusy, hold_lock
from pipeline.settings import DripError, Settings, child_environment, load_settings


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server((LOOPBACK, 0)) as server:
        yield int(server.getsockname()[1])


def silent(text: str) -> None:
    del text


def test_a_free_port_is_kept_and_a_taken_one_replaced(taken: int) -> None:
    other = find_port(taken)
    assert other != taken
    assert find_port(other) == other


def test_everything_without_a_password_listens_on_loopback_only(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, port=find_port(0))
    services = {service.name: service for service in plan_services(settings)}
    assert {"inbound server", "Dagster"} <= services.keys()
    for name in services.keys() - {"inbound server"}:
        command = services[name].command
        assert command[command.index("--host") + 1] == LOOPBACK


def test_links_lead_to_the_inbound_server_so_its_port_is_not_replaced(
    tmp_path: Path, taken: int
) -> None:
    with pytest.raises(DripError, match="DRIP_PORT"):
        plan_services(load_settings(home=tmp_path, port=taken))


def test_without_a_workspace_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DripError, match="drip init"):
        run_all(load_settings(home=tmp_path), silent)


def test_one_home_is_run_once(settings: Settings) -> None:
    dagster_home(settings.home).mkdir()
    with hold_lock(dagster_home(settings.home) / "up.lock"), pytest.raises(LockBusy):
        run_all(settings, silent)


def test_children_find_the_same_workspace_and_report_nothing_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = child_environment(load_settings(home="here", port=8899), DAGSTER_HOME="there")
    assert environment["DRIP_HOME"] == str(tmp_path / "here")
    assert environment["DRIP_PORT"] == "8899"
    assert environment["DAGSTER_HOME"] == "there"
    assert environment["DAGSTER_DISABLE_TELEMETRY"] == "1"
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


STUBBORN = """
import signal, subprocess, sys
# What the process of the tests has been told about signals is none of this one's business.
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; print('child', flush=True); time.sleep(60)"])
signal.pause()
"""


@pytest.mark.parametrize("kind", ["kind", "stubborn"])
def test_stopping_takes_children_along_and_forces_who_will_not(tmp_path: Path, kind: str) -> None:
    command = (sys.executable, "-c", STUBBORN, kind)
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, start_new_session=True)
    while not log.read_text():
        time.sleep(0.02)
    running = Running(Service("a server", command, "", ""), process, log)

    # Patience for the kind one on a busy machine; the stubborn one needs none.
    stop_all([running], patience=20.0 if kind == "kind" else 1.0)

    wait_for(lambda: not is_group_alive(process.pid), 10, "the child is still there")
    assert process.returncode == -(signal.SIGTERM if kind == "kind" else signal.SIGKILL)


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.2)


@pytest.fixture
def up(settings: Settings, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`drip up` for real, in a process of its own, with its output in a file."""
    told = tmp_path / "told"
    settings = settings.model_copy(update={"port": find_port(0)})
    with told.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "up"],
            env=child_environment(settings, COLUMNS="500"),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, told
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def children_of(pid: int) -> list[int]:
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in done.stdout.split()]


def is_group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def addresses(told: Path) -> dict[str, str]:
    pairs = (line.split(": http", 1) for line in told.read_text().splitlines() if ": http" in line)
    return {name: f"http{address}" for name, address in pairs}


def ask(dagster: str, query: str) -> Any:
    """Ask Dagster's GraphQL."""
    answer = httpx.post(f"{dagster}/graphql", json={"query": query}, trust_env=False, timeout=60)
    return answer.json()["data"]


def refresh(dagster: str) -> None:
    """Launch a refresh as the button does, and wait for its end."""
    selector = (
        'repositoryLocationName: "refresh", repositoryName: "__repository__", '
        'jobName: "refresh_job"'
    )
    launched = ask(
        dagster,
        f"mutation {{ launchRun(executionParams: {{selector: {{{selector}}}}}) "
        "{ ... on LaunchRunSuccess { run { runId } } } }",
    )
    run_id = launched["launchRun"]["run"]["runId"]
    status = f'{{ runOrError(runId: "{run_id}") {{ ... on Run {{ status }} }} }}'
    wait_for(lambda: ask(dagster, status)["runOrError"]["status"] == "SUCCESS", 240, "no refresh")


def shows(page: Page, text: str) -> bool:
    """Load the page again and return whether the text comes within seconds."""
    page.reload()
    try:
        page.get_by_text(text).first.wait_for(timeout=10_000)
    except PlaywrightTimeoutError:
        return False
    return True


def place_of(drawn: Locator) -> float:
    """Return how far from the left something stands."""
    box = drawn.bounding_box()
    return box["x"] if box else 0.0


def is_sorted(places: list[float]) -> bool:
    """Return whether each stands right of the one before it."""
    return all(left < right for left, right in pairwise(places))


def look_around(dagster: str) -> None:
    """Find graph, checks, a running sensor and plots where an operator looks for them."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--headless", "--no-sandbox", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)

        page.goto(f"{dagster}/asset-groups/~/")
        groups = ("ledger", "warehouse", "intermediate", "marts", "analysis")
        drawn = [page.locator("svg").get_by_text(group, exact=True).first for group in groups]
        for group in drawn:
            expect(group).to_be_visible()
        # It is moved about while it is laid out; then it reads from left to right.
        wait_for(lambda: is_sorted([place_of(group) for group in drawn]), 60, "not left to right")

        page.goto(f"{dagster}/assets/marts/leads?view=checks")
        expect(page.get_by_text("unique_leads_lead_id").first).to_be_visible()
        expect(page.get_by_text("Succeeded").first).to_be_visible()

        page.goto(f"{dagster}/automation")
        for running in ("due_sends_sensor", "published_freshness_sensor", "refresh_schedule"):
            item = page.get_by_role("link").filter(has_text=running).locator("..")
            expect(item.locator("input[type=checkbox]").last).to_be_checked()

        page.goto(f"{dagster}/assets/warehouse/published")
        # The page keeps what it has asked once; freshness is judged once a minute.
        wait_for(lambda: shows(page, "Passing"), 150, "its freshness is not judged")
        page.get_by_text("Plots", exact=True).click()
        for name in ("seconds", "checks", "bytes"):
            expect(page.get_by_text(name, exact=True).first).to_be_visible()
        expect(page.locator("canvas").first).to_be_visible()
        browser.close()


@pytest.mark.prove
def test_everything_answers_ticks_and_stops_together_on_sigterm(
    up: tuple[subprocess.Popen[bytes], Path], settings: Settings
) -> None:
    process, told = up
    wait_for(
        lambda: "all ready" in told.read_text() or process.poll() is not None, 200, "never ready"
    )
    found = addresses(told)
    assert "all ready" in told.read_text(), told.read_text()
    assert {"inbound server", "Dagster"} <= found.keys()
    assert answers(f"{found['inbound server']}/health")
    page = httpx.get(found["Dagster"], trust_env=False, follow_redirects=True)
    assert "Dagster" in page.text
    if NOTEBOOKS.is_dir():
        assert httpx.get(found["notebooks"], trust_env=False, follow_redirects=True).is_success
    query = "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }"
    entries = ask(found["Dagster"], query)["workspaceOrError"]["locationEntries"]
    assert {entry["name"] for entry in entries} == {"ticks", "refresh"}
    # The sensor alone makes the first tick happen, and the lead gets its mail.
    wait_for(
        lambda: any(settings.home.glob("maildir/*/new/*")), 120, "no tick by the sensor in time"
    )
    refresh(found["Dagster"])
    look_around(found["Dagster"])
    groups = children_of(process.pid)
    assert len(groups) == len(found)

    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == 0
    assert told.read_text().splitlines()[-1] == "stopped"
    # The system may take a moment to clear away what has ended.
    wait_for(lambda: not any(is_group_alive(group) for group in groups), 10, "somebody is left")


@pytest.mark.prove
def test_when_one_service_dies_all_stop_and_the_message_names_it(
    up: tuple[subprocess.Popen[bytes], Path],
) -> None:
    process, told = up
    wait_for(lambda: len(addresses(told)) >= 2, 120, "nothing started")
    groups = children_of(process.pid)
    os.kill(groups[0], signal.SIGKILL)

    assert process.wait(90) == 1
    assert "The inbound server stopped by itself" in told.read_text()
    # The system may take a moment to clear away what has ended.
    wait_for(lambda: not any(is_group_alive(group) for group in groups), 10, "somebody is left")
