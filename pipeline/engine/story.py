"""The story of one lead in order: what came in, what was decided and why, what went out.

Belongs here: reading it. Does not: showing it (`cli`), deciding anything.
"""

import re
from pathlib import Path
from typing import Any

import duckdb

from pipeline.ledger.store import open_ledger
from pipeline.settings import DripError, Settings

_SQL = Path(__file__).with_name("story.sql")
_ENROLLMENT = "enrollment:"


def tell_story(settings: Settings, who: str) -> list[dict[str, Any]]:
    """Return what happened to a lead, oldest first: moment, topic, what, detail, reason.

    Args:
        settings: home.
        who: lead id, e-mail address, phone, external id; or `enrollment:<id>`, for the story of
            that enrollment only.

    Raises:
        DripError: nobody, or more than one lead, is called that.
    """
    with open_ledger(settings.home, read_only=True) as con:
        lead_id = find_lead(con, who)
        number = _number_of(who)
        rows: list[dict[str, Any]] = (
            con.sql(_SQL.read_text(), params={"lead_id": lead_id, "enrollment_id": number})
            .pl()
            .to_dicts()
        )
    return rows


def find_lead(con: duckdb.DuckDBPyConnection, who: str) -> int:
    """Return the id of the one lead that `who` names."""
    number = _number_of(who)
    if number is not None:
        sql = "select lead_id from enrollments where enrollment_id = $number"
        rows = con.execute(sql, {"number": number}).fetchall()
    else:
        rows = con.execute(
            """
            select distinct lead_id
            from lead_keys
            where
                lead_id = try_cast($who as bigint)
                or email = lower($who)
                or phone = regexp_replace($who, '[ ()./-]', '', 'g')
                or external_id = $who
            union
            select kept_lead_id
            from merged_leads
            where lead_id = try_cast($who as bigint)
            """,
            {"who": who.strip()},
        ).fetchall()
    if not rows:
        raise DripError(f"No lead is called {who!r}. Give an id, an e-mail address or a phone.")
    if len(rows) > 1:
        ids = ", ".join(str(row[0]) for row in rows)
        raise DripError(f"{len(rows)} leads are called {who!r}: {ids}. Give one of these ids.")
    return int(rows[0][0])


def _number_of(who: str) -> int | None:
    found = re.fullmatch(rf"{_ENROLLMENT}(\d{{1,18}})", who.strip())
    return int(found[1]) if found else None
