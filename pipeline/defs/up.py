"""`drip up`: Dagster, the inbound server and the notebooks together, until one stops.

Belongs here: which processes there are, starting, watching and stopping them as one. Does not: what
they do (`definitions`, `inbound.server`, notebooks/), their environment (`settings`).
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import httpx

from pipeline.defs.instance import dagster_home, prepare_instance
from pipeline.defs.manifest import prepare_manifest
from pipeline.ledger.locks import hold_lock
from pipeline.ledger.store import open_ledger
from pipeline.sequences.compile import load_workspace
from pipeline.settings import DripError, Settings, child_environment, load_keys

LOOPBACK = "127.0.0.1"
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
# Dagster needs 15 to 25 s on two idle cores (feasibility.md A3).
START_SECONDS = 180.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Service:
    """One child process and where it answers."""

    name: str
    command: tuple[str, ...]
    address: str
    probe: str


@dataclass(frozen=True)
class Running:
    """A started service with its output."""

    service: Service
    process: subprocess.Popen[bytes]
    log: Path


def run_all(settings: Settings, echo: Callable[[str], None]) -> None:
    """Run everything until Ctrl-C or SIGTERM; then, or when one service dies, stop all.

    Args:
        settings: home, sequences, and the inbound server's host and port. Dagster and the notebooks
            ask for no password, so they listen on loopback only.
        echo: told what happens, a line at a time.

    Raises:
        DripError: the workspace is not set up, a port is taken, or a service died.
    """
    load_keys(settings.home)
    load_workspace(settings.sequences)
    with open_ledger(settings.home, read_only=True):
        pass  # a damaged ledger is told here, not by the tenth failed run
    with hold_lock(dagster_home(settings.home) / "up.lock", timeout=0), _told_to_stop() as is_told:
        echo("preparing Dagster and the dbt project …")
        prepare_manifest(settings)
        prepare_instance(settings.home)
        started: list[Running] = []
        try:
            for service in plan_services(settings):
                started.append(_start(service, settings))
                echo(f"{service.name}: {service.address}")
            _wait_until_ready(started, is_told, echo)
            _watch(started, is_told)
        finally:
            echo("stopping …")
            stop_all(started)
            echo("stopped")


def plan_services(settings: Settings) -> list[Service]:
    """Return what to start, each on a free port.

    Raises:
        DripError: the inbound server's port is taken.
    """
    services = [_inbound(settings), _dagster(settings.home)]
    # An installation without the project's folder has no notebooks.
    return [*services, _notebooks()] if NOTEBOOKS.is_dir() else services


def _inbound(settings: Settings) -> Service:
    if find_port(settings.port, settings.host) != settings.port:
        raise DripError(
            f"Port {settings.port} on {settings.host} is taken, and links in messages lead there. "
            "Stop what listens on it, or set DRIP_PORT and base_url in workspace.yml to another."
        )
    address = f"http://{settings.host}:{settings.port}"
    return Service(
        name="inbound server",
        command=(sys.executable, "-m", "pipeline.cli", "inbound"),
        address=address,
        probe=f"{address}/health",
    )


def _dagster(home: Path) -> Service:
    port = find_port(3000)
    address = f"http://{LOOPBACK}:{port}"
    return Service(
        name="Dagster",
        command=(
            *(sys.executable, "-m", "dagster", "dev"),
            *("--workspace", str(dagster_home(home) / "workspace.yaml")),
            *("--host", LOOPBACK, "--port", str(port)),
            *("--log-level", "warning", "--code-server-log-level", "warning"),
        ),
        address=address,
        probe=f"{address}/server_info",
    )


def _notebooks() -> Service:
    port = find_port(2718)
    address = f"http://{LOOPBACK}:{port}"
    return Service(
        name="notebooks",
        command=(
            *(sys.executable, "-m", "marimo", "--quiet", "run", str(NOTEBOOKS)),
            *("--headless", "--no-token", "--host", LOOPBACK, "--port", str(port)),
        ),
        address=address,
        probe=address,
    )


def find_port(preferred: int, host: str = LOOPBACK) -> int:
    """Return the preferred port if it is free, else one that the system gives."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            # As the servers do: a port whose last user has just gone counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DripError(f"There is no free port on {host}.")


def _start(service: Service, settings: Settings) -> Running:
    folder = dagster_home(settings.home)
    log = folder / "logs" / f"{service.name.replace(' ', '_').lower()}.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            service.command,
            env=child_environment(settings, DAGSTER_HOME=str(folder)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C reaches us alone, and a service stops with its children.
            start_new_session=True,
        )
    return Running(service, process, log)


def _wait_until_ready(
    started: list[Running], is_told: Callable[[], bool], echo: Callable[[str], None]
) -> None:
    began = time.monotonic()
    waiting = list(started)
    while waiting and not is_told():
        _raise_if_dead(started)
        waiting = [running for running in waiting if not answers(running.service.probe)]
        if time.monotonic() - began > START_SECONDS:
            names = ", ".join(running.service.name for running in waiting)
            raise DripError(
                f"Does not answer after {START_SECONDS:.0f} s: {names}. "
                f"Look into {waiting[0].log.parent}."
            )
        time.sleep(POLL_SECONDS)
    if not waiting:
        echo(f"all ready after {time.monotonic() - began:.0f} s; Ctrl-C stops them")


def _watch(started: list[Running], is_told: Callable[[], bool]) -> None:
    while not is_told():
        _raise_if_dead(started)
        time.sleep(POLL_SECONDS)


def _raise_if_dead(started: list[Running]) -> None:
    for running in started:
        code = running.process.poll()
        if code is not None:
            lines = running.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            raise DripError(
                "\n".join(
                    [
                        f"The {running.service.name} stopped by itself (exit code {code}), "
                        f"so everything was stopped. Its last lines, from {running.log}:",
                        *lines,
                    ]
                )
            )


def answers(address: str) -> bool:
    """Return whether a server answers there without an error."""
    try:
        return httpx.get(address, timeout=2, trust_env=False, follow_redirects=True).is_success
    except httpx.HTTPError:
        return False


def stop_all(started: list[Running], patience: float = STOP_SECONDS) -> None:
    """Stop the services with all their children: kindly, after `patience` seconds by force."""
    for running in started:
        running.process.terminate()
    end = time.monotonic() + patience
    alive = list(started)
    orphaned: set[int] = set()
    while alive and time.monotonic() < end:
        for running in alive:
            group = running.process.pid
            # Dagster stops its children itself; what it leaves behind is told once it has gone.
            if running.process.poll() is not None and group not in orphaned:
                orphaned.add(group)
                _signal_group(group, signal.SIGTERM)
        alive = [running for running in alive if _signal_group(running.process.pid, 0)]
        time.sleep(POLL_SECONDS)
    for running in alive:
        _signal_group(running.process.pid, signal.SIGKILL)
        running.process.wait()


def _signal_group(group: int, sign: int) -> bool:
    try:
        os.killpg(group, sign)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _told_to_stop() -> Iterator[Callable[[], bool]]:
    """Yield a question: has Ctrl-C or SIGTERM come? A second Ctrl-C interrupts as usual."""
    told: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        if told and number == signal.SIGINT:
            raise KeyboardInterrupt
        told.append(number)

    before = {sign: signal.signal(sign, remember) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(told)
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
