"""The script that the engine replaces: batches of 100, one enrollment after the other.

It is what the sources describe, and kept quick: look-ups by index, counts in memory, one commit
per batch. It plans and claims, as the engine's pass does, with the same reasons in `why`.
"""

from collections import Counter
from datetime import datetime, timedelta
from hashlib import md5
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from tests.benchmarks.world import HOURS, NOW, World, sequence_cap

BATCH = 100
CHANNELS = ("email", "sms", "email", "sms", "email", "email")
DELAYS = (
    timedelta(hours=12),
    timedelta(days=2),
    timedelta(hours=24),
    timedelta(days=2),
    timedelta(days=7),
)
_WEEKEND = 5
_LAST_STEP = 5
_MOST_SENDS = 6
_DUE = """
select
    enrollment_id, lead_id, version_id, step_ix, status, due_at, slot_at, zone, is_holdout,
    send_id, attempts, sent_mask, opened_mask, clicked_mask, count_sends
from live
where slot_at <= ? and status != 'in_flight' and not is_paused
order by slot_at
limit ?
"""


def run_script(con: duckdb.DuckDBPyConnection, world: World, most: int) -> int:
    """Work through due enrollments, batch by batch, until `most` are done or none is left."""
    midnight = NOW.replace(hour=0)
    used = Counter(
        dict(
            con.execute(
                "select version_id, count(*) from sends where claimed_at >= ? group by all",
                [midnight],
            ).fetchall()
        )
    )
    done = 0
    while done < most:
        cursor = con.execute(_DUE, [NOW, min(BATCH, most - done)])
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        if not rows:
            break
        con.execute("begin")
        for row in rows:
            _process(con, world, row, used)
        con.execute("commit")
        done += len(rows)
    return done


def _process(
    con: duckdb.DuckDBPyConnection, world: World, row: dict[str, Any], used: Counter[int]
) -> None:
    lead = con.execute(
        "select country, timezone from leads where lead_id = ?", [row["lead_id"]]
    ).fetchall()[0]
    reason, until = _check_content(row, lead[0]), _next_opening(row, NOW)
    is_first = row["status"] == "waiting" and row["send_id"] is None
    arm = _draw(con, world, row) if reason is None and is_first else None
    reason = reason or _unreachable(con, row)
    if reason is None and is_first:
        reason, until = _check_limits(world, row, used), _next_opening(row, _tomorrow())
    if reason in ("window", "sequence_cap"):
        _postpone(con, row, reason, until)
    elif reason is not None:
        _skip(con, row, reason, lead[1])
    elif row["is_holdout"]:
        _end(con, row, "held_out", "holdout")
    else:
        _claim(con, row, arm)


def _check_content(row: dict[str, Any], country: str | None) -> str | None:
    if _next_opening(row, NOW) > NOW:
        return "window"
    if row["status"] == "retry":
        return None
    if _next_opening(row, row["slot_at"]) < NOW - timedelta(hours=24):
        return "late"
    return None if _condition(row, country) else "condition"


def _check_limits(world: World, row: dict[str, Any], used: Counter[int]) -> str | None:
    if row["count_sends"] >= _MOST_SENDS:
        return "lead_cap"
    if row["version_id"] % 4 == 0:
        if used[row["version_id"]] >= sequence_cap(world.count):
            return "sequence_cap"
        used[row["version_id"]] += not row["is_holdout"]
    return None


def _tomorrow() -> datetime:
    return NOW.replace(hour=0) + timedelta(days=1)


def _next_opening(row: dict[str, Any], moment: datetime) -> datetime:
    opens, closes = (int(part[:2]) for part in HOURS[row["version_id"] % 3].split("-"))
    local = moment.astimezone(ZoneInfo(row["zone"]))
    while True:
        opening = local.replace(hour=opens, minute=0, second=0, microsecond=0)
        if local.weekday() < _WEEKEND and local.hour < closes:
            return moment if local.hour >= opens and local >= opening else opening
        local = opening.replace(hour=0) + timedelta(days=1)
        moment = local


def _condition(row: dict[str, Any], country: str | None) -> bool:
    if row["step_ix"] == 2:
        return bool(row["sent_mask"] & 1 and not row["opened_mask"] & 1)
    if row["step_ix"] == _LAST_STEP:
        return bool(
            row["sent_mask"] & 16 and not row["clicked_mask"] & 16 and country in ("US", "CA", "DE")
        )
    return True


def _unreachable(con: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> str | None:
    channel = CHANNELS[row["step_ix"]]
    suppressed = con.execute(
        "select reason from suppressions where lead_id = ? and channel = ? and lifted_at is null",
        [row["lead_id"], channel],
    ).fetchall()
    if suppressed:
        return str(min(suppressed)[0])
    email, phone = con.execute(
        "select email, phone from identities where lead_id = ?", [row["lead_id"]]
    ).fetchall()[0]
    return "no_address" if (email if channel == "email" else phone) is None else None


def _draw(con: duckdb.DuckDBPyConnection, world: World, row: dict[str, Any]) -> str | None:
    version_id, step_ix = row["version_id"], row["step_ix"]
    if (version_id % 5, step_ix) not in ((2, 0), (3, 2)):
        return None
    name = f"t{version_id:02}"
    stored = con.execute(
        "select arm from assignments where unit_id = ? and experiment_id = ?",
        [row["lead_id"], name],
    ).fetchall()
    if stored:
        return str(stored[0][0])
    text = f"{world.salt}:{name}:{row['lead_id']}"
    share = int(md5(text.encode()).hexdigest()[:13], 16) / 2**52  # noqa: S324
    arm = "(holdout)" if row["is_holdout"] else "a" if share < 0.5 else "b"
    con.execute(
        "insert into assignments (experiment_id, unit_id, arm, probability, assigned_at, "
        "enrollment_id, reason) values (?, ?, ?, ?, ?, ?, 'hash')",
        [name, row["lead_id"], arm, 0.5, NOW, row["enrollment_id"]],
    )
    return arm


def _write_why(
    con: duckdb.DuckDBPyConnection, row: dict[str, Any], outcome: str, **more: object
) -> None:
    if row["status"] == "retry":
        return
    con.execute(
        "insert into why (planned_at, enrollment_id, version_id, step_ix, outcome, reason, "
        "until_at, send_id, attempt) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            NOW,
            row["enrollment_id"],
            row["version_id"],
            row["step_ix"],
            outcome,
            *(more.get(name) for name in ("reason", "until_at", "send_id", "attempt")),
        ],
    )


def _postpone(
    con: duckdb.DuckDBPyConnection, row: dict[str, Any], reason: str, until: datetime
) -> None:
    _write_why(con, row, "postponed", reason=reason, until_at=until)
    con.execute(
        "update live set slot_at = ? where enrollment_id = ?", [until, row["enrollment_id"]]
    )


def _skip(
    con: duckdb.DuckDBPyConnection, row: dict[str, Any], reason: str, zone: str | None
) -> None:
    if row["status"] == "retry":
        con.execute(
            "insert into send_outcomes (send_id, settled_at, status, reason, attempt) "
            "values (?, ?, 'withdrawn', ?, ?)",
            [row["send_id"], NOW, reason, row["attempts"]],
        )
    if row["step_ix"] == _LAST_STEP:
        _end(con, row, "skipped", reason)
        return
    _write_why(con, row, "skipped", reason=reason)
    due_at = NOW + DELAYS[row["step_ix"]]
    con.execute(
        "update live set step_ix = ?, status = 'waiting', due_at = ?, slot_at = ?, anchor_at = ?, "
        "zone = ?, send_id = null, attempts = 0, count_sends = count_sends - ? where enrollment_id = ?",
        [
            row["step_ix"] + 1,
            due_at,
            due_at,
            NOW,
            zone or "America/New_York",
            int(row["status"] == "retry"),
            row["enrollment_id"],
        ],
    )


def _end(con: duckdb.DuckDBPyConnection, row: dict[str, Any], outcome: str, reason: str) -> None:
    _write_why(con, row, outcome, reason=reason)
    con.execute("delete from live where enrollment_id = ?", [row["enrollment_id"]])
    con.execute(
        "insert into enrollment_ends values (?, ?, 'completed', ?)",
        [row["enrollment_id"], NOW, "held_out" if outcome == "held_out" else None],
    )


def _claim(con: duckdb.DuckDBPyConnection, row: dict[str, Any], arm: str | None) -> None:
    slot_at, send_id = _next_opening(row, row["slot_at"]), row["send_id"]
    if send_id is None:
        send_id = con.execute("select nextval('send_ids')").fetchall()[0][0]
        channel = CHANNELS[row["step_ix"]]
        con.execute(
            "insert into sends (send_id, enrollment_id, lead_id, version_id, step_ix, variant, "
            "channel, sender, claimed_at, slot_at, zone, local_on, origin, recipient_domain) "
            "select ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'live', "
            "if(? = 'email', split_part(email, '@', -1), null) "
            "from identities where lead_id = ?",
            [
                send_id,
                row["enrollment_id"],
                row["lead_id"],
                row["version_id"],
                row["step_ix"],
                arm,
                channel,
                "text" if channel == "sms" else "sales",
                NOW,
                slot_at,
                row["zone"],
                NOW.astimezone(ZoneInfo(row["zone"])).date(),
                channel,
                row["lead_id"],
            ],
        )
    _write_why(con, row, "claimed", send_id=send_id, attempt=row["attempts"] + 1)
    con.execute(
        "update live set status = 'in_flight', slot_at = ?, send_id = ?, attempts = ?, "
        "count_sends = count_sends + ? where enrollment_id = ?",
        [
            slot_at,
            send_id,
            row["attempts"] + 1,
            int(row["send_id"] is None),
            row["enrollment_id"],
        ],
    )
