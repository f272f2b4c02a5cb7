"""Requests of the command line: enroll these leads, never contact that one again.

Belongs here: from arguments and files to landing lines, so that no acknowledged request is lost.
Does not: the same over HTTP (`api`), what a valid request is (`records`), what becomes of it
(`engine.enroll`).
"""

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from pydantic import ValidationError

from pipeline.inbound.landing import append_lines, landing_line, random_id
from pipeline.inbound.records import BlockRequest, EnrollmentRequest, describe
from pipeline.ledger.store import open_ledger
from pipeline.settings import DripError, Settings

_PER_LINE = 1000
_WHOM = ("email", "phone", "external_id")
_EXAMPLE = "select lead_id from lead_status where status = 'contacted'"


def read_whom(who: str) -> dict[str, str]:
    """Tell an address from a phone from an external id.

    >>> read_whom("+1 555 0100 200"), read_whom("ann@example.com"), read_whom("A-17")
    ({'phone': '+1 555 0100 200'}, {'email': 'ann@example.com'}, {'external_id': 'A-17'})
    """
    if "@" in who:
        return {"email": who}
    return {"phone": who} if who.startswith("+") else {"external_id": who}


def request_enrollment(
    settings: Settings,
    sequence: str,
    who: str,
    now: datetime,
    *,
    starts_at: str | None = None,
    context: str | None = None,
    by: str | None = None,
) -> None:
    """Land the request to enroll one lead.

    Raises:
        DripError: an argument is not right.
    """
    _check_sequence(settings, sequence)
    request = _check_enrollment(
        {
            "sequence": sequence,
            "lead": read_whom(who),
            "starts_at": starts_at,
            "context": _read_context(context),
            "by": by,
        },
        "",
    )
    _land(settings.home, [{"kind": "enroll", "enrolled_by": "hand"} | request], now)


def request_list(
    settings: Settings, sequence: str, file: Path, now: datetime, *, by: str | None = None
) -> int:
    """Land the requests to enroll the leads of a CSV file; all of them or none.

    Columns email, phone and external_id name the lead, starts_at is its start, every other column
    is context. Returns how many rows there were.

    Raises:
        DripError: the file or a row of it is not right.
    """
    _check_sequence(settings, sequence)
    with file.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not set(_WHOM) & set(rows[0]):
        raise DripError(
            f"{file} names no leads. Its first line names the columns, one of them email, phone "
            "or external_id; each other line is a lead."
        )
    requests = [
        {"kind": "enroll", "enrolled_by": "list"}
        | _check_enrollment(_read_row(sequence, row, by), f"{file}, row {number}: ")
        for number, row in enumerate(rows, start=1)
    ]
    _land(settings.home, requests, now)
    return len(requests)


def request_segment(
    settings: Settings, sequence: str, sql: str, now: datetime, *, by: str | None = None
) -> int:
    """Land the requests to enroll the leads that a query on the ledger names; all of them or none.

    The query gives a column `lead_id`, such as
    `select lead_id from lead_status where status = 'contacted'`. It can read the ledger, and
    nothing else. Returns how many leads it named.

    Raises:
        DripError: the query is no single select, is wrong, or has no column lead_id.
    """
    _check_sequence(settings, sequence)
    leads = _read_segment(settings.home, sql)
    requests: list[dict[str, Any]] = [
        {
            "kind": "enroll",
            "enrolled_by": "segment",
            "sequence": sequence,
            "lead": {"lead_id": lead_id},
            "by": by,
        }
        for lead_id in leads
    ]
    _land(settings.home, requests, now)
    return len(requests)


def request_block(home: Path, who: str, now: datetime, *, by: str | None = None) -> None:
    """Land the request never to contact a lead again.

    Raises:
        DripError: `who` is neither an address nor a phone nor an external id.
    """
    try:
        request = BlockRequest.model_validate({"lead": read_whom(who), "by": by})
    except ValidationError as error:
        raise DripError(f"{who!r} names no lead: {describe(error)}.") from None
    _land(home, [{"kind": "do_not_contact"} | request.dump()], now)


def _check_sequence(settings: Settings, sequence: str) -> None:
    known = sorted(path.stem for path in settings.sequences.glob("*.yml"))
    if sequence not in known or sequence == "workspace":
        known = [name for name in known if name != "workspace"]
        raise DripError(
            f"There is no sequence {sequence!r} in {settings.sequences}. "
            f"There are: {', '.join(known) or 'none yet'}."
        )


def _read_segment(home: Path, sql: str) -> list[int]:
    with open_ledger(home, read_only=True) as con:
        # From here on the query reaches nothing but the ledger.
        con.execute("set enable_external_access = false")
        con.execute("set lock_configuration = true")
        try:
            statements = con.extract_statements(sql)
            if [s.type for s in statements] != [duckdb.StatementType.SELECT]:
                raise DripError(f"A segment is one query, such as `{_EXAMPLE}`.")
            segment = con.sql(sql)
            if "lead_id" not in segment.columns:
                found = ", ".join(segment.columns)
                raise DripError(f"The query gives {found}, and no lead_id: write `{_EXAMPLE}`.")
            rows = segment.project("lead_id::bigint as lead_id").distinct().order("lead_id")
            return [lead_id for (lead_id,) in rows.fetchall() if lead_id is not None]
        except duckdb.Error as error:
            raise DripError(
                f"The segment cannot be read: {str(error).splitlines()[0]} It may ask the ledger's "
                "leads, enrollments and events, and the views lead_status, send_status and "
                "why_outcomes."
            ) from None


def _read_row(sequence: str, row: Mapping[str, Any], by: str | None) -> dict[str, Any]:
    lead = {name: row.get(name) for name in _WHOM}
    known = {*_WHOM, "starts_at"}
    context = {name: value for name, value in row.items() if name and name not in known}
    return {
        "sequence": sequence,
        "lead": lead,
        "starts_at": row.get("starts_at"),
        "context": context,
        "by": by,
    }


def _read_context(text: str | None) -> dict[str, Any]:
    try:
        context = json.loads(text) if text else {}
    except ValueError:
        context = None
    if not isinstance(context, dict):
        raise DripError(f'The context {text!r} is no JSON object. Write it like {{"offer": "A"}}.')
    return context


def _check_enrollment(data: Mapping[str, Any], place: str) -> dict[str, Any]:
    try:
        return EnrollmentRequest.model_validate(data).dump()
    except ValidationError as error:
        raise DripError(f"{place}{describe(error)}. Nothing was asked for; mend it.") from None


def _land(home: Path, requests: list[dict[str, Any]], now: datetime) -> None:
    append_lines(home, "operator", _lines(requests, now), now)


def _lines(requests: list[dict[str, Any]], now: datetime) -> Iterator[dict[str, Any]]:
    for start in range(0, len(requests), _PER_LINE):
        yield landing_line(
            line_id=random_id(),
            received_at=now,
            source="operator",
            commands=requests[start : start + _PER_LINE],
        )
