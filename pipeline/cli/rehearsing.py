"""Commands that rehearse: what the next days will bring, what another sequence would have done.

Belongs here: arguments and tables. Does not: the rehearsal itself (`engine.forecast`,
`engine.replay`).
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
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


@app.command()
def replay(
    sequence: Annotated[str, typer.Argument(help="A sequence, or a file to try in its place.")],
    of: Annotated[
        str | None, typer.Option(help="Whose past a file is tried on; its own name's if left out.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Leads that entered from then on.")] = None,
    until: Annotated[str | None, typer.Option(help="Live until then (ISO 8601).")] = None,
    by_rule: Annotated[
        bool, typer.Option("--by-rule", help="The file's rule chooses among today's leads.")
    ] = False,
    leads: Annotated[bool, typer.Option("--leads", help="Name each lead that differs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a changed sequence over recorded history: who would have been contacted when."""
    from pipeline.engine.replay import replay as run_replay

    is_file = sequence.endswith((".yml", ".yaml"))
    path = Path(sequence)
    with err.status("replay …") as shown:
        found = run_replay(
            current_settings(),
            (of or path.stem) if is_file else sequence,
            file=path if is_file else None,
            since=read_moment(since),
            until=read_moment(until),
            by_rule=by_rule,
            progress=lambda moment: shown.update(f"replay: {as_text(moment)} …"),
        )
    if as_json:
        print_json(found.as_dict())
        return
    _show_replay(found)
    if leads:
        columns = ["lead_id", "step_id", "change", "before_at", "now_at"]
        table(
            "Leads that differ (UTC)",
            columns,
            [[row[name] for name in columns] for row in found.differences],
        )


def _show_replay(found: Any) -> None:
    say(
        f"{found.sequence_id} from {as_text(found.since)} to {as_text(found.until)} UTC: "
        f"{found.leads['before']} leads entered, {found.leads['now']} in the replay"
    )
    columns = ["step_id", "outcome", "reason", "before", "now"]
    rows = [[row[name] for name in columns] for row in found.outcomes]
    table("Steps, before and now", columns, rows)
    names = ["same", "earlier", "later", "only before", "only now", "otherwise"]
    table(
        "What changes",
        ["", *names],
        [
            ["steps", *(found.changes.get(name, 0) for name in names)],
            ["first contacts", *(found.first_contacts.get(name, 0) for name in names)],
        ],
    )
    if not found.differences:
        say("Nobody would have been contacted otherwise.")
    for sentence in found.cannot_know:
        say(f"· {sentence}")
    say(f"{found.ticks} ticks lived again in {found.seconds:.1f} s; the ledger is as it was.")


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
