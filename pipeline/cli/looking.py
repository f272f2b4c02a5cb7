"""Commands that only look: status, one lead's story, SQL on the warehouse.

Belongs here: tables. Does not: anything that changes a fact (`operating`).
"""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from pipeline.cli.app import app
from pipeline.cli.terminal import AsJson, as_text, current_settings, print_json, say, table
from pipeline.settings import DripError, utc_now

_ENROLLMENT = ["active", "paused", "completed", "converted", "exited"]


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say how things stand: enrollments, what became of planned steps, what waits."""
    from pipeline.engine.status import read_status

    found = read_status(current_settings()).as_dict() | {"limits": _limits()}
    if as_json:
        print_json(found)
        return
    rows = [
        [sequence, *(counts.get(name, 0) for name in _ENROLLMENT)]
        for sequence, counts in found["enrollments"].items()
    ]
    if found["sequences"]:
        columns = list(found["sequences"][0])
        table("Sequences", columns, [list(one.values()) for one in found["sequences"]])
    table("Enrollments", ["sequence", *_ENROLLMENT], rows)
    table(
        "Planned steps",
        ["planned", *found["outcomes"]],
        [[found["planned"], *found["outcomes"].values()]],
    )
    if found["limits"]:
        rows = [
            [row["kind"], row["key"], f"{row['used']} / {row['cap']}", row["period"]]
            for row in found["limits"]
        ]
        table("Limits", ["limit", "of", "used / cap", "per"], rows)
    for name in ("leads", "waiting", "rejected", "next_due_at", "last_tick_at", "last_refresh_at"):
        say(f"{name.replace('_', ' ')}: {as_text(found[name])}")
    if found["is_stopped"]:
        say("[yellow]STOP is in force: nothing is planned or handed over.[/]")


def _limits() -> list[dict[str, Any]] | None:
    """Today's use of each limit; None when the files that set them cannot be read."""
    from pipeline.engine.limits import read_usage
    from pipeline.engine.tick import load_files
    from pipeline.ledger.store import open_ledger

    settings = current_settings()
    try:
        workspace, sequences = load_files(settings.sequences)
    except DripError:
        # How things stand is asked for when files are broken, too; `drip check` says what is wrong.
        return None
    with open_ledger(settings.home, read_only=True) as con:
        return [asdict(row) for row in read_usage(con, workspace, sequences, utc_now())]


@app.command()
def why(lead: str, as_json: AsJson = False) -> None:
    """Tell the story of a lead in order: what came, what was decided and why, what went."""
    from pipeline.engine.story import tell_story

    story = tell_story(current_settings(), lead)
    if as_json:
        print_json(story)
        return
    columns = ["moment", "topic", "what", "detail", "reason"]
    table(f"Lead {lead} (UTC)", columns, [[row[name] for name in columns] for row in story])


@app.command()
def query(
    sql: str,
    limit: Annotated[int, typer.Option(help="Rows to show in a table.")] = 100,
    as_of: Annotated[
        str | None, typer.Option(help="An ISO week (2026-W47), as its last refresh left it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run SQL on the published warehouse, read-only."""
    from pipeline.warehouse.read import query as run_query

    frame = run_query(current_settings().home, sql, snapshot=as_of)
    if as_json:
        print_json(frame.to_dicts())
        return
    table(f"{frame.height} rows", frame.columns, [list(row) for row in frame.head(limit).rows()])
