"""Commands that only look: status, one lead's story, SQL on the warehouse.

Belongs here: tables. Does not: anything that changes a fact (`operating`).
"""

from typing import Annotated

import typer

from pipeline.cli.app import app
from pipeline.cli.terminal import AsJson, as_text, current_settings, print_json, say, table

_ENROLLMENT = ["active", "paused", "completed", "converted", "exited"]


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say how things stand: enrollments, what became of planned steps, what waits."""
    from pipeline.engine.status import read_status

    found = read_status(current_settings()).as_dict()
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
    for name in ("leads", "waiting", "rejected", "next_due_at", "last_tick_at", "last_refresh_at"):
        say(f"{name.replace('_', ' ')}: {as_text(found[name])}")
    if found["is_stopped"]:
        say("[yellow]STOP is in force: nothing is planned or handed over.[/]")


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
    as_json: AsJson = False,
) -> None:
    """Run SQL on the published warehouse, read-only."""
    from pipeline.warehouse.read import query as run_query

    frame = run_query(current_settings().home, sql)
    if as_json:
        print_json(frame.to_dicts())
        return
    table(f"{frame.height} rows", frame.columns, [list(row) for row in frame.head(limit).rows()])
