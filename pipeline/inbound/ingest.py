"""Landing lines become ledger facts: set-based SQL, in the transaction that moves the offsets.

Belongs here: reading new slices of segments, running the statements beside this module in order,
counting. Does not: mapping of request bodies (`mapping`), the dispatcher's journal and what running
enrollments do about events (`engine`, which reads the temporary table `new_events`).
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path

import duckdb
import polars as pl

from pipeline.inbound.verdicts import VERDICT_VERSION, judge_features
from pipeline.ledger.serials import Serial, draw_numbers
from pipeline.ledger.statements import run_file
from pipeline.sequences.vocabulary import Channel, EventKind

# One transaction takes in at most this much, so that it stays within two seconds.
MAX_BYTES = 16 * 1024 * 1024

JOURNAL_PREFIX = "journal-"

# Kinds that a verdict is about or depends on, and kinds that say whom not to write to.
_JUDGED = {EventKind.OPENED, EventKind.CLICKED, EventKind.DELIVERED}
_SUPPRESSING = {
    EventKind.UNSUBSCRIBED,
    EventKind.COMPLAINED,
    EventKind.BOUNCED,
    EventKind.SUBSCRIBED,
}

_NO_MESSAGES = """
create or replace temp table ingest_messages (
    target_no bigint, send_id bigint, enrollment_id bigint, lead_id bigint, step_ix smallint,
    channel varchar
)
"""
_OTHER_TARGETS = """
create or replace temp table ingest_targets as
select target_no, source, email, phone, external_id
from ingest_fresh_events
anti join ingest_messages using (target_no)
"""
_NOBODY_FOUND = """
create or replace temp table ingest_found (target_no bigint, lead_id bigint, problem varchar)
"""
_NO_BLOCKS = """
create or replace temp table new_blocks (lead_id bigint, blocked_at timestamptz)
"""
_NO_VERDICTS = "create or replace temp table verdicts (event_id bigint, verdict varchar)"


@dataclass(frozen=True)
class IngestReport:
    """What one ingest did, in counts."""

    count_segments: int = 0
    count_bytes: int = 0
    count_lines: int = 0
    count_leads: int = 0
    count_leads_changed: int = 0
    count_events: int = 0
    count_duplicates: int = 0
    count_experiments: int = 0
    count_enrollments: int = 0
    count_sends: int = 0
    count_suppressions: int = 0
    count_commands: int = 0
    count_rejected: int = 0
    count_resolved: int = 0
    has_more: bool = False


@dataclass(frozen=True)
class _Slice:
    segment: str
    end: int
    text: str
    size: int


@dataclass
class _Batch:
    """One run of the statements: the connection, the values they bind, the counts so far."""

    con: duckdb.DuckDBPyConnection
    values: dict[str, object]
    counts: dict[str, int] = field(default_factory=dict)

    def run(self, script: str, **values: object) -> int:
        """Run every statement of a script; return the first value of the last, 0 without one."""
        path = Path(__file__).with_name(f"{script}.sql")
        rows = run_file(self.con, path, expressions=None, **(self.values | values))
        return rows[0][0] if rows and isinstance(rows[0][0], int) else 0

    def count(self, query: str) -> int:
        """Return the single number that the query asks for."""
        rows = self.con.execute(query).fetchall()
        return int(rows[0][0])

    def draw(self, serial: Serial, n: int) -> int:
        """Draw n numbers of a serial; return the one before the first."""
        return draw_numbers(self.con, serial, n) - 1


def ingest(
    con: duckdb.DuckDBPyConnection,
    home: Path,
    *,
    now: datetime,
    attributes: Collection[str],
    max_bytes: int = MAX_BYTES,
) -> IngestReport:
    """Take in what landed since the last time, inside the caller's open transaction.

    Complete lines of all segments but the journal's, from the stored offsets; a torn last line
    waits. Order and repetition of lines change nothing. Afterwards the temporary table `new_events`
    holds the live events that went in, with the columns of `events`, and `new_blocks` the leads
    that may not be contacted any more.

    Args:
        con: the ledger, in a transaction: rows and offsets go in together or not at all.
        home: the workspace.
        now: the moment of this ingest.
        attributes: names that leads may carry (workspace.yml); others go nowhere.
        max_bytes: stop after about so much; `has_more` of the report says that there is more.
    """
    slices, has_more = _read_slices(con, home, max_bytes)
    lines = _lines_of(slices)
    report = _take_in(con, lines, now=now, attributes=attributes)
    _move_offsets(con, slices, now)
    return replace(
        report,
        count_segments=len(slices),
        count_bytes=sum(piece.size for piece in slices),
        has_more=has_more,
    )


def retry_rejected(
    con: duckdb.DuckDBPyConnection, *, now: datetime, attributes: Collection[str]
) -> IngestReport:
    """Run the unresolved rows of `rejected` again, inside the caller's open transaction.

    What goes in is resolved; what fails again stays, with the reason of today. `new_events` holds
    what became events, as after `ingest`.
    """
    lines = con.sql(
        "select segment, raw as line, rejected_id from rejected where resolved_at is null"
    ).pl()
    return _take_in(con, lines, now=now, attributes=attributes)


def _read_slices(
    con: duckdb.DuckDBPyConnection, home: Path, max_bytes: int
) -> tuple[list[_Slice], bool]:
    offsets: dict[str, int] = dict(
        con.execute("select segment, ingested_bytes from segments").fetchall()
    )
    slices: list[_Slice] = []
    left, has_more = max_bytes, False
    for path in _grown_segments(home, offsets):
        if left <= 0:
            has_more = True
            break
        piece, is_cut = _read_slice(path, offsets.get(path.name, 0), left)
        has_more = has_more or is_cut
        if piece is not None:
            slices.append(piece)
            left -= piece.size
    return slices, has_more


def _grown_segments(home: Path, offsets: Mapping[str, int]) -> list[Path]:
    """Return the segments with new bytes, in the order of writing."""
    grown: list[tuple[int, str, Path]] = []
    for path in (home / "landing").glob("*.jsonl"):
        if path.name.startswith(JOURNAL_PREFIX):
            continue
        with suppress(FileNotFoundError):  # sealed and deleted meanwhile
            stat = path.stat()
            if stat.st_size > offsets.get(path.name, 0):
                grown.append((stat.st_mtime_ns, path.name, path))
    return [path for _, _, path in sorted(grown)]


def _read_slice(path: Path, start: int, limit: int) -> tuple[_Slice | None, bool]:
    """Read whole lines from an offset; also say whether the limit cut something off."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(limit)
            # A line longer than the limit is read whole: it is one line.
            while b"\n" not in data and (more := file.read(limit)):
                data += more
            is_cut = bool(file.read(1))
    except FileNotFoundError:  # sealed and deleted meanwhile
        return None, False
    whole = data[: data.rfind(b"\n") + 1]
    if not whole:
        return None, False
    text = whole.decode("utf-8", "replace")
    return _Slice(path.name, start + len(whole), text, len(whole)), is_cut


def _lines_of(slices: list[_Slice]) -> pl.DataFrame:
    return (
        pl.DataFrame(
            {"segment": [s.segment for s in slices], "line": [s.text for s in slices]},
            schema={"segment": pl.String, "line": pl.String},
        )
        .with_columns(pl.col("line").str.split("\n"))
        .explode("line", empty_as_null=True)
        .filter(pl.col("line").str.strip_chars() != "")
        .with_columns(rejected_id=pl.lit(None, dtype=pl.Int64))
    )


def _move_offsets(con: duckdb.DuckDBPyConnection, slices: list[_Slice], now: datetime) -> None:
    for piece in slices:
        con.execute("delete from segments where segment = ?", [piece.segment])
        con.execute("insert into segments values (?, ?, ?)", [piece.segment, piece.end, now])


def _take_in(
    con: duckdb.DuckDBPyConnection,
    lines: pl.DataFrame,
    *,
    now: datetime,
    attributes: Collection[str],
) -> IngestReport:
    con.execute("create or replace temp table new_events as select * from events limit 0")
    con.execute(_NO_BLOCKS)
    if lines.is_empty():
        return IngestReport()
    ((salt,),) = con.execute("select value from meta where key = 'id_salt'").fetchall()
    batch = _Batch(con, _bound_values(now, attributes, salt))
    con.register("landing_lines", lines)
    try:
        batch.run("lines")
        parts: Mapping[str, int] = dict(
            con.execute("select part, count(*) from ingest_records group by part").fetchall()
        )
        for part, take in _STAGES.items():
            if parts.get(part):
                take(batch)
        _settle_problems(batch)
    finally:
        con.unregister("landing_lines")
    return replace(IngestReport(count_lines=len(lines)), **batch.counts)  # type: ignore[arg-type]


def _bound_values(now: datetime, attributes: Collection[str], salt: str) -> dict[str, object]:
    # DuckDB wants one name at least; no attribute can be called so.
    names = sorted(attributes) or ["-"]
    return {
        "now": now,
        "attributes": json.dumps(dict.fromkeys(names, "JSON")),
        "salt": salt,
        "kinds": [kind.value for kind in EventKind],
        "channels": [channel.value for channel in Channel],
        "verdict_version": VERDICT_VERSION,
        "zones": _zone_names(),
    }


@cache
def _zone_names() -> list[str]:
    """Return the zones that DuckDB can compute with: another would fail every later tick."""
    with duckdb.connect() as con:
        return [name for (name,) in con.execute("select name from pg_timezone_names()").fetchall()]


def _take_experiments(batch: _Batch) -> None:
    batch.run("experiments")
    batch.counts["count_experiments"] = batch.count("select count(*) from ingest_new_experiments")


def _take_leads(batch: _Batch) -> None:
    batch.run("leads")
    while batch.run("leads_round"):
        pass
    batch.con.execute(
        "create or replace temp table ingest_labels as "
        "select rank, email, phone, external_id, source, rank as label "
        "from ingest_leads anti join ingest_matches using (rank)"
    )
    while batch.run("leads_label"):
        pass
    batch.run("leads_apply", change_no=batch.draw("change_numbers", 1) + 1)
    batch.counts["count_leads"] = batch.count(
        "select count(*) from ingest_merged where not is_stored"
    )
    batch.counts["count_leads_changed"] = batch.count(
        "select count(*) from ingest_merged where is_stored and not is_same"
    )


def _take_enrollments(batch: _Batch) -> None:
    batch.run("enrollments")
    batch.run("find_leads")
    batch.run("enrollments_apply")
    versions = batch.count("select count(*) from ingest_new_versions")
    batch.run("enrollments_insert", version_base=batch.draw("version_ids", versions))
    count = batch.count("select count(*) from ingest_new_enrollments")
    batch.run("enrollments_write", enrollment_base=batch.draw("enrollment_ids", count))
    batch.counts["count_enrollments"] = count


def _take_sends(batch: _Batch) -> None:
    batch.run("sends")
    batch.run("find_leads")
    batch.run("sends_apply")
    count = batch.count("select count(*) from ingest_new_sends")
    batch.run("sends_write", send_base=batch.draw("send_ids", count))
    batch.counts["count_sends"] = count


def _take_events(batch: _Batch) -> None:
    batch.run("events")
    kinds = _fresh_kinds(batch)
    _find_messages(batch)
    batch.run("events_apply")
    _judge(batch, kinds)
    batch.run("events_insert")
    if kinds & _SUPPRESSING:
        batch.run("suppressions")
        batch.counts["count_suppressions"] = batch.count("select count(*) from ingest_suppressions")
    good = batch.count("select count(*) from ingest_events where reason is null")
    fresh = batch.count("select count(*) from ingest_fresh_events")
    batch.counts["count_events"] = batch.count("select count(*) from ingest_new_events")
    batch.counts["count_duplicates"] = good - fresh


def _fresh_kinds(batch: _Batch) -> set[str]:
    rows = batch.con.execute("select distinct kind from ingest_fresh_events").fetchall()
    return {kind for (kind,) in rows}


def _find_messages(batch: _Batch) -> None:
    """Find the message of each event that names one, and the lead of each that does not."""
    if batch.count(
        "select count(*) from ingest_fresh_events "
        "where given_send_id is not null or message_id is not null"
    ):
        batch.run("find_messages")
    else:
        batch.con.execute(_NO_MESSAGES)
    batch.con.execute(_OTHER_TARGETS)
    if batch.count("select count(*) from ingest_targets"):
        batch.run("find_leads")
    else:
        batch.con.execute(_NOBODY_FOUND)


def _judge(batch: _Batch, kinds: set[str]) -> None:
    if not kinds & _JUDGED:
        batch.con.execute(_NO_VERDICTS)
        return
    batch.run("features")
    judge_features(batch.con)
    if batch.count(
        "select count(*) from features as f inner join verdicts as v using (event_id) "
        "where f.verdict <> v.verdict"
    ):
        batch.run("verdict_changes")


def _take_commands(batch: _Batch) -> None:
    batch.run("commands")
    batch.run("find_leads")
    batch.run("commands_apply")
    batch.counts["count_commands"] = batch.count("select count(*) from ingest_new_commands")


# In this order: each may name what the ones before it brought.
_STAGES = {
    "experiments": _take_experiments,
    "leads": _take_leads,
    "enrollments": _take_enrollments,
    "sends": _take_sends,
    "events": _take_events,
    "commands": _take_commands,
}


def _settle_problems(batch: _Batch) -> None:
    count = batch.count("select count(*) from ingest_problems where rejected_id is null")
    retried = batch.count("select count(*) from landing_lines where rejected_id is not null")
    if count == retried == 0:
        return
    unresolved = "select count(*) from rejected where resolved_at is null"
    before = batch.count(unresolved)
    batch.run("rejected", rejected_base=batch.draw("rejected_ids", count))
    if retried:
        batch.counts["count_resolved"] = before - batch.count(unresolved)
    else:
        batch.counts["count_rejected"] = batch.count(unresolved) - before
