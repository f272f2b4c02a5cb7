"""A tick that dies at a given boundary: before a statement of the ledger, or before a write of a file."""

import json
import os
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import duckdb

from pipeline.engine.tick import tick
from pipeline.inbound.landing import Landing
from pipeline.settings import Settings

CONCURRENCY = 5
# What changes a file without DuckDB: the journal, sockets.
WRITES = {os.write, os.fsync, os.fdatasync, os.replace, os.rename, os.ftruncate}
STATEMENTS = ("execute", "executemany", "sql", "begin", "commit", "checkpoint", "close")


class Countdown:
    """Counts boundaries, and kills this process at the last one as a power cut would."""

    def __init__(self, deadly: int | None) -> None:
        self.count, self.deadly = 0, deadly

    def pass_boundary(self) -> None:
        if self.count == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    def on_call(self, _: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function in WRITES:
            self.pass_boundary()


class Mortal:
    """A connection whose every statement is a boundary; else as DuckDB made it."""

    def __init__(self, con: duckdb.DuckDBPyConnection, countdown: Countdown) -> None:
        self._con, self._countdown = con, countdown

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._con, name)
        if name not in STATEMENTS:
            return found

        def call(*args: Any, **options: Any) -> Any:
            self._countdown.pass_boundary()
            return found(*args, **options)

        return call

    def __enter__(self) -> "Mortal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def tick_and_die(home: Path, folder: Path, now: datetime, deadly: int | None) -> None:
    """Tick once; die before boundary number `deadly`, or tell how many there were."""
    countdown = Countdown(deadly)
    connect = duckdb.connect
    duckdb.connect = lambda *args, **options: Mortal(connect(*args, **options), countdown)  # type: ignore[assignment]
    threading.setprofile(countdown.on_call)
    sys.setprofile(countdown.on_call)
    try:
        tick(Settings(home=home, sequences=folder, concurrency=CONCURRENCY), lambda: now)
    finally:
        sys.setprofile(None)
    (home / "boundaries").write_text(str(countdown.count))


def die_at_line(settings: Settings, now: datetime, line: int, is_after: bool) -> None:
    """Tick in a process of its own, and die before or after a line of the journal is written."""
    count, append = 0, Landing.append

    async def mortal(self: Landing, *lines: Any) -> None:
        nonlocal count
        if not is_after and count == line:
            os.kill(os.getpid(), signal.SIGKILL)
        await append(self, *lines)
        count += 1
        if is_after and count == line + 1:
            os.kill(os.getpid(), signal.SIGKILL)

    Landing.append = mortal  # type: ignore[method-assign]
    tick(settings, lambda: now)


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    tick_and_die(
        Path(order["home"]),
        Path(order["folder"]),
        datetime.fromisoformat(order["now"]),
        order["deadly"],
    )
