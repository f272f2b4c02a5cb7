"""Landing: append-only JSONL segments, the first safe place of everything that comes in.

Belongs here: the shape of a line, segments, fsync by group commit, what happens on a full disk.
Does not: what a line means (mapping), reading lines back (ingest).
"""

import asyncio
import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.settings import DripError

WRITERS = ("inbound", "import", "operator", "journal")
_BLOCK_BYTES = 1 << 20
_NAME_ATTEMPTS = 5

# Made once: `json.dumps` with these arguments would make one for each line.
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

_sync = getattr(os, "fdatasync", os.fsync)


class LandingFailed(DripError):
    """The disk took nothing of this write: nothing is half written, and the sender should retry."""


def random_id() -> str:
    """Return 32 random hex digits: the id of a landing line."""
    return uuid.uuid4().hex


def format_instant(moment: datetime) -> str:
    """Write an instant as landing lines have it: UTC, microseconds, Z."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def landing_line(  # noqa: PLR0913 - the fields of a line, all by name
    *,
    line_id: str,
    received_at: datetime,
    source: str,
    leads: Sequence[Mapping[str, Any]] = (),
    events: Sequence[Mapping[str, Any]] = (),
    commands: Sequence[Mapping[str, Any]] = (),
    raw: str | None = None,
    error: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return one landing line; `headers` are kept where a mapping needs them to be run again."""
    line: dict[str, Any] = {
        "id": line_id,
        "received_at": format_instant(received_at),
        "source": source,
        "leads": list(leads),
        "events": list(events),
        "raw": raw,
        "error": error,
    }
    if commands:
        line["commands"] = list(commands)
    if headers:
        line["headers"] = dict(headers)
    return line


def encode_line(line: Mapping[str, Any]) -> bytes:
    """Write a line as JSON and newline; a lone surrogate, which UTF-8 cannot hold, becomes `?`."""
    return _JSON.encode(line).encode("utf-8", "replace") + b"\n"


def segment_name(writer: str, now: datetime, line_id: str) -> str:
    """Return the file name of a new segment."""
    if writer not in WRITERS:
        raise ValueError(f"{writer!r} writes no segments; writers are {', '.join(WRITERS)}.")
    return f"{writer}-{now.astimezone(UTC):%Y%m%dT%H%M%S}-{line_id[:8]}.jsonl"


def append_lines(
    home: Path,
    writer: str,
    lines: Iterable[Mapping[str, Any]],
    now: datetime,
    *,
    new_id: Callable[[], str] = random_id,
) -> Path | None:
    """Land all the lines in a segment of their own, or none, and return its path.

    The segment gets its name when it is complete and fsynced, so ingest never sees a part of it.

    Raises:
        LandingFailed: the disk is full or cannot be written.
    """
    folder = home / "landing"
    blocks = _blocks(lines)
    first = next(blocks, None)
    if first is None:
        return None
    path = folder / segment_name(writer, now, new_id())
    part = path.with_suffix(".part")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                for block in chain([first], blocks):
                    _write_all(file.fileno(), block)
                _sync(file.fileno())
        except BaseException:
            part.unlink()
            raise
        part.rename(path)
        _sync_folder(folder)
    except OSError as error:
        raise _failure(folder, error) from error
    return path


class Segment:
    """The open segment of one writer. Not for two threads at once."""

    def __init__(
        self,
        home: Path,
        writer: str,
        now: Callable[[], datetime],
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._folder = home / "landing"
        self._writer = writer
        self._now = now
        self._new_id = new_id
        self._descriptor: int | None = None
        self._path = self._folder
        self._hour: datetime | None = None
        self._good_bytes = 0

    def append(self, block: bytes) -> None:
        """Write whole lines and fsync them, in a new segment when the hour has changed.

        After a failed write nothing of the block remains. The segment is given up then, and the
        next block goes to a new one: a reader may have taken in lines that were since cut off, so
        its offset in this segment cannot be trusted for other bytes.

        Raises:
            OSError: the block is not written.
        """
        descriptor = self._segment_of(self._now())
        try:
            _write_all(descriptor, block)
            _sync(descriptor)
        except BaseException:
            self._give_up(descriptor)
            raise
        self._good_bytes += len(block)

    def close(self) -> None:
        """Close the open segment, if any; a later block opens another."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _segment_of(self, now: datetime) -> int:
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if self._descriptor is None or hour != self._hour:
            self.close()
            self._open(now)
            self._hour = hour
        assert self._descriptor is not None  # noqa: S101 - for the type checker: _open has set it
        return self._descriptor

    def _open(self, now: datetime) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for attempt in range(1, _NAME_ATTEMPTS + 1):
            self._path = self._folder / segment_name(self._writer, now, self._new_id())
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            try:
                self._descriptor = os.open(self._path, flags, 0o600)
                break
            except FileExistsError:
                if attempt == _NAME_ATTEMPTS:
                    raise
        self._good_bytes = 0
        _sync_folder(self._folder)

    def _give_up(self, descriptor: int) -> None:
        # The disk may refuse even this; the segment is left behind either way, and what stays in
        # it are at most whole lines that nobody was told of and one torn line at its end.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, self._good_bytes)
            if self._good_bytes == 0:
                self._path.unlink()
            _sync(descriptor)
        with contextlib.suppress(OSError):
            self.close()
        self._descriptor = None


class Landing:
    """One process's way into landing: many requests, one fsync.

    While a batch is on its way to the disk, whatever arrives is gathered for the next one.
    """

    def __init__(
        self,
        home: Path,
        writer: str,
        now: Callable[[], datetime],
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._segment = Segment(home, writer, now, new_id)
        self._folder = home / "landing"
        # One thread: the event loop never waits for the disk, and the segment has one user.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="landing")
        self._buffer: list[bytes] = []
        self._batch: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.count_lines = 0
        self.count_failures = 0
        self.is_failing = False

    async def append(self, *lines: Mapping[str, Any]) -> None:
        """Return when the lines are on the disk.

        Raises:
            LandingFailed: they are not, and no part of them is.
        """
        loop = asyncio.get_running_loop()
        self._buffer.extend([encode_line(line) for line in lines])
        if self._batch is None:
            self._batch = loop.create_future()
        batch = self._batch
        if self._task is None:
            self._task = loop.create_task(self._write(loop))
        try:
            # Without the shield one cancelled request would cancel the whole batch.
            await asyncio.shield(batch)
        except OSError as error:
            raise _failure(self._folder, error) from error

    def close(self) -> None:
        """Wait for what is being written and close the segment; a later line opens another."""
        self._thread.submit(self._segment.close).result()

    async def _write(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while self._batch is not None:
                await asyncio.sleep(0)  # lets the requests that are ready join this batch
                lines, batch = self._buffer, self._batch
                self._buffer, self._batch = [], None
                await self._write_batch(loop, lines, batch)
        finally:
            self._task = None
            if self._batch is not None:  # only when the loop is being shut down
                self._batch.cancel()
                self._buffer, self._batch = [], None

    async def _write_batch(
        self, loop: asyncio.AbstractEventLoop, lines: list[bytes], batch: "asyncio.Future[None]"
    ) -> None:
        block = b"".join(lines)
        try:
            await loop.run_in_executor(self._thread, self._segment.append, block)
        except asyncio.CancelledError:
            batch.cancel()
            raise
        except Exception as error:  # whatever it is, those who wait must hear of it
            self.count_failures += 1
            self.is_failing = True
            batch.set_exception(error)
            batch.exception()  # marks it as seen, for when every waiter has gone
        else:
            self.count_lines += len(lines)
            self.is_failing = False
            batch.set_result(None)


def _blocks(lines: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    block = bytearray()
    for line in lines:
        block += encode_line(line)
        if len(block) >= _BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _write_all(descriptor: int, block: bytes) -> None:
    # A disk that is nearly full takes a part; the rest then fails with the reason.
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failure(folder: Path, error: OSError) -> LandingFailed:
    return LandingFailed(
        f"{folder} cannot be written ({error.strerror or error}). "
        "Nothing was taken in; free space or mend the disk, then send it again."
    )
