"""The dispatcher's journal: `begin` before a body goes out, `end` after the answer (R8).

Belongs here: what its lines say, and reading them back as answers. Does not: the file and its fsync
(`inbound.landing`), what an answer does (`settle`).
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.inbound.landing import Landing, format_instant

_SCHEMA = {
    "send_id": pl.Int64,
    "status": pl.String,
    "settled_at": pl.String,
    "attempt": pl.Int16,
    "reason": pl.String,
    "message_id": pl.String,
}


async def write_begin(landing: Landing, send_id: int, attempt: int, now: datetime) -> None:
    """Journal that the body is about to be handed over; returns when that is on the disk."""
    await landing.append({"begin": send_id, "attempt": attempt, "at": format_instant(now)})


async def write_end(
    landing: Landing,
    send_id: int,
    attempt: int,
    now: datetime,
    *,
    status: str,
    reason: str | None,
    message_id: str | None,
) -> None:
    """Journal the answer: handed_over, retry or refused."""
    await landing.append(
        {
            "end": send_id,
            "attempt": attempt,
            "at": format_instant(now),
            "status": status,
            "reason": reason,
            "message_id": message_id,
        }
    )


def read_journal(con: duckdb.DuckDBPyConnection, home: Path, now: datetime) -> int:
    """Read what was journaled since the last time into the temp table `answers`.

    Only for the holder of the dispatch lock, between chunks or at its start: then every `begin`
    without an `end` belongs to a dispatcher that is gone, and its outcome is unknown. Moves the
    offsets in the same transaction. Returns the number of answers.
    """
    offsets = dict(con.execute("select segment, ingested_bytes from segments").fetchall())
    begun: dict[tuple[int, int], str] = {}
    answers: list[dict[str, Any]] = []
    for path in sorted((home / "landing").glob("journal-*.jsonl")):
        lines, end = _new_lines(path, offsets.get(path.name, 0))
        if not lines:
            continue
        for line in lines:
            _read_line(line, begun, answers)
        con.execute("delete from segments where segment = ?", [path.name])
        con.execute("insert into segments values (?, ?, ?)", [path.name, end, now])
    answers += [
        {"send_id": send_id, "attempt": attempt, "status": "unknown", "settled_at": begun_at}
        for (send_id, attempt), begun_at in begun.items()
    ]
    frame = pl.DataFrame(answers, schema=_SCHEMA, orient="row")
    con.register("answer_frame", frame)
    con.execute(
        "create or replace temp table answers as "
        "select * replace (settled_at::timestamptz as settled_at) from answer_frame"
    )
    con.unregister("answer_frame")
    return len(answers)


def _new_lines(path: Path, offset: int) -> tuple[list[bytes], int]:
    if path.stat().st_size <= offset:
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    # A torn last line was never fsynced, so its message was never begun.
    whole = data.rfind(b"\n") + 1
    return data[:whole].splitlines(), offset + whole


def _read_line(
    line: bytes, begun: dict[tuple[int, int], str], answers: list[dict[str, Any]]
) -> None:
    entry = json.loads(line)
    if "begin" in entry:
        begun[entry["begin"], entry["attempt"]] = entry["at"]
        return
    begun.pop((entry["end"], entry["attempt"]), None)
    answers.append(
        {
            "send_id": entry["end"],
            "attempt": entry["attempt"],
            "status": entry["status"],
            "settled_at": entry["at"],
            "reason": entry.get("reason"),
            "message_id": entry.get("message_id"),
        }
    )
