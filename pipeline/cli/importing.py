"""Commands that bring leads and history from other tools.

Belongs here: arguments and printing. Does not: what a column means (`inbound.import_maps`).
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipeline.cli.app import app
from pipeline.cli.terminal import AsJson, complain, current_settings, print_json, say
from pipeline.settings import utc_now

import_app = typer.Typer(help="Bring leads and history from other tools.", no_args_is_help=True)
app.add_typer(import_app, name="import")

MapFile = Annotated[Path, typer.Option("--map", help="The map: which column is what (YAML).")]
SourceName = Annotated[
    str | None, typer.Option("--name", help="Name of the source; the file's name when left out.")
]


def _import(kind: str, file: Path, map_file: Path, name: str | None, as_json: bool) -> None:
    from pipeline.inbound.importers import import_file

    report = import_file(kind, file, map_file, current_settings().home, utc_now(), name=name)
    if as_json:
        print_json(vars(report))
    else:
        say(f"{kind}: {report.read} rows read, {report.landed} landed, {report.rejected} rejected")
        say("They enter the ledger with the next [bold]drip tick[/] or [bold]drip ingest[/].")
    if report.rejected:
        complain(
            f"[bold red]✗[/] {report.rejected} of {report.read} rows were rejected. Each stands "
            f"with its reason in {escape(str(report.rejects_path))}: mend the file or the map, "
            "then import it again. What has landed is not doubled."
        )
        raise typer.Exit(1)


@import_app.command("leads")
def import_leads(
    file: Path, map_file: MapFile, name: SourceName = None, as_json: AsJson = False
) -> None:
    """Import leads from CSV or Parquet."""
    _import("leads", file, map_file, name, as_json)


@import_app.command("enrollments")
def import_enrollments(
    file: Path, map_file: MapFile, name: SourceName = None, as_json: AsJson = False
) -> None:
    """Import enrollments of another tool, experiments included."""
    _import("enrollments", file, map_file, name, as_json)


@import_app.command("sends")
def import_sends(
    file: Path, map_file: MapFile, name: SourceName = None, as_json: AsJson = False
) -> None:
    """Import messages that another tool has sent."""
    _import("sends", file, map_file, name, as_json)


@import_app.command("events")
def import_events(
    file: Path, map_file: MapFile, name: SourceName = None, as_json: AsJson = False
) -> None:
    """Import opens, clicks, replies, conversions and custom events."""
    _import("events", file, map_file, name, as_json)
