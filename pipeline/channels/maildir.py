"""Maildir: real messages in files, and nothing leaves the machine. The default.

Belongs here: writing a message so that it survives a power cut.
Does not: what a transport promises (transport).
"""

import asyncio
import mailbox
import os
import threading
from pathlib import Path

from pipeline.channels.transport import (
    BeforeBody,
    Outcome,
    TransportUnavailable,
    UnknownOutcome,
)
from pipeline.messages.compose import Message

# The standard library numbers files with a counter that threads may not share.
_WRITING = threading.Lock()


class MaildirTransport:
    """Writes each message as a file of its own into a Maildir that any mail program opens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._box: mailbox.Maildir | None = None

    async def open(self) -> None:
        """Create the folders."""
        if self._box is not None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._box = mailbox.Maildir(self._path)
        except OSError as error:
            raise TransportUnavailable(
                f"The Maildir {self._path} cannot be created ({error.strerror}). "
                "Make its folder writable."
            ) from None

    async def deliver(self, message: Message, before_body: BeforeBody) -> Outcome:
        """Write a message and wait until the disk has it."""
        try:
            await self.open()
        except TransportUnavailable as error:
            return Outcome("retry", str(error))
        await before_body()
        return await asyncio.to_thread(self._write, message)

    async def close(self) -> None:
        """Let go of the folders."""
        self._box = None

    def _write(self, message: Message) -> Outcome:
        if self._box is None:
            raise RuntimeError("The transport was closed during a hand-over.")
        try:
            with _WRITING:
                self._box.add(message.data)
        except OSError as error:
            # The file comes to stand in `new` only when it is complete.
            return Outcome("retry", f"Writing failed: {error.strerror}.")
        try:
            _sync_folder(self._path / "new")
        except OSError as error:
            raise UnknownOutcome(f"The disk did not confirm the file: {error.strerror}.") from error
        return Outcome("handed_over", None, message.message_id)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
