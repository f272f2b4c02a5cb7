"""Commands that rehearse: what the next days will bring, what another sequence would have done.

Belongs here: arguments and tables. Does not: the rehearsal itself (`engine.forecast`,
`engine.replay`).
"""

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any

import typer

from pipeline.cli.app import app
from pipeline.cli.terminal import (
    AsJson,
    as_text,
    current_settings,
    err,
    print_json,
    read_moment,
    say,
    table,
)
from pipeline.settings import utc_now


@app.command()
def forecast(
    days: Annotated[int, typer.Option(help="How many days, today included.")] = 14,
    now: Annotated[str | None, typer.Option(help="Begin at this moment (ISO 8601).")] = None,
    as_json: AsJson = False,
) -> None:
    """Say how many messages the next days will bring if nobody reacts, and which limits bite."""
    from pipeline.engine.forecast import forecast as run_forecast

    with err.status("forecast …") as shown:
        found = run_forecast(
            current_settings(),
            read_moment(now) or utc_now(),
            days=days,
            progress=lambda moment: shown.update(f"forecast: {as_text(moment)} …"),
        )
    if as_json:
        print_json(found.as_dict())
        return
    total = sum(row["messages"] for row in found.messages)
    say(f"{total} messages from {as_text(found.from_at)} to {as_text(found.to_at)} UTC")
    _by_day("by sequence", found.days, found.messages, lambda row: row["sequence_id"])
    _by_day(
        "by sender", found.days, found.messages, lambda row: f"{row['sender']} ({row['channel']})"
    )
    columns = ["day", "sequence_id", "outcome", "reason", "steps", "waiting"]
    if found.limits:
        table(
            "Limits that bite", columns, [[row[name] for name in columns] for row in found.limits]
        )
    else:
        say("No limit bites.")
    if found.decisions:
        rows = _sum_up(found.decisions)
        table("Other steps without a message", ["sequence_id", "outcome", "reason", "steps"], rows)
    for assumption in found.assumptions:
        say(f"· {assumption}")
    say(f"{found.ticks} ticks rehearsed in {found.seconds:.1f} s; the ledger is as it was.")


def _by_day(
    title: str,
    days: list[Any],
    rows: list[dict[str, Any]],
    name_of: Callable[[dict[str, Any]], str],
) -> None:
    """Print a table of messages with a line for each day and a column for each name."""
    counts: Counter[tuple[Any, str]] = Counter()
    for row in rows:
        counts[row["day"], name_of(row)] += row["messages"]
    names = sorted({name for _, name in counts})
    lines = [[f"{day:%a %Y-%m-%d}", *(counts[day, name] or "·" for name in names)] for day in days]
    lines.append(["all", *(sum(counts[day, name] for day in days) for name in names)])
    table(f"Messages per day {title}", ["day", *names], lines)


def _sum_up(rows: list[dict[str, Any]]) -> list[list[Any]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        counts[row["sequence_id"], row["outcome"], row["reason"] or ""] += row["steps"]
    return [[*key, count] for key, count in sorted(counts.items())]
