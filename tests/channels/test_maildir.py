"""Messages in files."""

import asyncio
import mailbox
from pathlib import Path

import pytest

from pipeline.channels.maildir import MaildirTransport
from pipeline.channels.transport import Outcome
from pipeline.messages.compose import Message


def message(send_id: int) -> Message:
    data = f"Subject: no {send_id}\r\n\r\nHi\r\n".encode()
    return Message(send_id, "email", "a@example.com", "b@example.com", data, f"<{send_id}@x>")


def deliver(path: Path, count: int, workers: int = 1) -> list[Outcome]:
    async def work(numbers: range) -> list[Outcome]:
        transport = MaildirTransport(path)
        await transport.open()
        outcomes = [await transport.deliver(message(n), noted) for n in numbers]
        await transport.close()
        return outcomes

    async def noted() -> None:
        begun.append(1)

    async def run() -> list[Outcome]:
        parts = [work(range(n, count, workers)) for n in range(workers)]
        return [outcome for part in await asyncio.gather(*parts) for outcome in part]

    begun: list[int] = []
    outcomes = asyncio.run(run())
    assert len(begun) == count
    return outcomes


def test_a_delivered_message_is_a_file_that_a_mail_program_reads(tmp_path: Path) -> None:
    outcomes = deliver(tmp_path / "maildir" / "local", 1)
    assert outcomes == [Outcome("handed_over", None, "<0@x>")]
    (found,) = mailbox.Maildir(tmp_path / "maildir" / "local")
    assert found["subject"] == "no 0"


def test_workers_at_the_same_time_lose_no_message(tmp_path: Path) -> None:
    outcomes = deliver(tmp_path / "box", 60, workers=6)
    assert {outcome.status for outcome in outcomes} == {"handed_over"}
    subjects = {found["subject"] for found in mailbox.Maildir(tmp_path / "box")}
    assert subjects == {f"no {n}" for n in range(60)}


def test_a_folder_that_cannot_be_made_is_a_retry_with_no_body_begun(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    transport = MaildirTransport(tmp_path / "file" / "box")

    async def never() -> None:
        raise AssertionError

    outcome = asyncio.run(transport.deliver(message(1), never))
    assert outcome.status == "retry"
    assert outcome.reason is not None
    assert "cannot be created" in outcome.reason


def test_a_box_that_vanishes_is_a_definite_retry(tmp_path: Path) -> None:
    transport = MaildirTransport(tmp_path / "box")

    async def remove() -> None:
        (tmp_path / "box" / "tmp").rmdir()

    async def run() -> Outcome:
        return await transport.deliver(message(1), remove)

    outcome = asyncio.run(run())
    assert outcome == Outcome("retry", "Writing failed: No such file or directory.", None)


def test_a_transport_closed_in_the_middle_is_an_error_of_ours(tmp_path: Path) -> None:
    transport = MaildirTransport(tmp_path / "box")
    with pytest.raises(RuntimeError, match="closed during"):
        asyncio.run(transport.deliver(message(1), transport.close))
