"""The story of one lead in order: what came in, what was decided and why, what went out.

Belongs here: reading it. Does not: showing it (`cli`), deciding anything.
"""

from pathlib import Path
from typing import Any

import duckdb

from pipeline.ledger.store import open_ledger
from pipeline.settings import DripError, Settings

_SQL = Path(__file__).with_name("story.sql")


def tell_story(settings: Settings, who: str) -> list[dict[str, Any]]:
    """Return what happened to a lead, oldest first: moment, topic, what, detail, reason.

    Args:
        settings: home.
        who: lead id, e-mail address, phone, external id, or `enrollment:<id>`.

    Raises:
        DripError: nobody, or more than one lead, is called that.
    """
    with open_ledger(settings.home, read_only=True) as con:
        lead_id = find_lead(con, who)
        rows: list[dict[str, Any]] = (
            con.sql(_SQL.read_text(), params={"lead_id": lead_id}).pl().to_dicts()
        )
    return rows


def find_lead(con: duckdb.DuckDBPyConnection, who: str) -> int:
    """Return the id of the one lead that `who` names."""
    if who.startswith("enrollment:") and who.removeprefix("enrollment:").isdigit():
        sql = "select lead_id from enrollments where enrollment_id = $who::bigint"
        rows = con.execute(sql, {"who": who.removeprefix("enrollment:")}).fetchall()
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
            from merges
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
