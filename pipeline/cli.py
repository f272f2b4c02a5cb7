"""The drip command: parse, call one function, print.

Belongs here: arguments, tables, progress bars, exit codes. Does not: anything that a test or
Dagster would want to call without a terminal; that has a room of its own.
"""

import json
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipeline.settings import DripError, Settings, load_settings, utc_now

app = typer.Typer(
    name="drip",
    help="Drip sequences that run out of DuckDB files and know what works.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
import_app = typer.Typer(help="Bring leads and history from other tools.", no_args_is_help=True)
app.add_typer(import_app, name="import")

out = Console()
err = Console(stderr=True)
_state: dict[str, Settings] = {}

# What a shell reports for a command that Ctrl-C has ended.
_INTERRUPTED = 130
# A column of a table needs as many characters to be read.
_NARROWEST = 9

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
MapFile = Annotated[Path, typer.Option("--map", help="The map: which column is what (YAML).")]
SourceName = Annotated[
    str | None, typer.Option("--name", help="Name of the source; the file's name when left out.")
]


def main() -> None:
    """Run the command; whatever a person can mend becomes one clear message and exit code 1."""
    debug = False
    try:
        debug = load_settings().debug
        code = app(prog_name="drip", standalone_mode=False)
    except Exception as error:
        code = _tell(error, debug=debug)
    if code == _INTERRUPTED:
        _complain("Stopped.")
    sys.exit(code)


def _tell(error: Exception, *, debug: bool) -> int:
    """Print what went wrong and return the exit code; raise it again for who asked to debug."""
    if _is_usage(error):
        error.show()  # type: ignore[attr-defined]
        return 2
    # The last is DuckDB's word for Ctrl-C during a query.
    if isinstance(error, typer.Abort) or str(error) == "Query interrupted":
        return _INTERRUPTED
    if debug:
        raise error
    if isinstance(error, DripError):
        _complain(f"[bold red]✗[/] {escape(str(error))}")
        return 1
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        _complain(
            f"[bold red]✗[/] {escape(place)}{escape(error.strerror or str(error))}. See that the "
            "path exists, that you may read and write it, and that the disk has room; then run "
            "the command again."
        )
        return 1
    _complain(
        f"[bold red]✗[/] {type(error).__name__}: {escape(str(error))}\n"
        "This is a defect of Driplab. Run it again with DRIP_DEBUG=1 to see where."
    )
    return 70


def _complain(text: str) -> None:
    # Not cut into lines at the terminal's width: a path or a command stays whole for copying.
    err.print(text, highlight=False, soft_wrap=True)


def _say(text: str) -> None:
    out.print(text, highlight=False, soft_wrap=True)


def _is_usage(error: Exception) -> bool:
    return hasattr(error, "show") and hasattr(error, "exit_code")


@app.callback()
def settings_of(
    home: Annotated[Path | None, typer.Option(help="The workspace's stores. [DRIP_HOME]")] = None,
    sequences: Annotated[
        Path | None, typer.Option(help="The sequences folder. [DRIP_SEQUENCES]")
    ] = None,
) -> None:
    """Read the settings for every command."""
    _state["settings"] = load_settings(home=home, sequences=sequences)


def _settings() -> Settings:
    return _state["settings"]


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)


def _table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        table.add_column(escape(name), overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else escape(_cell(cell)) for cell in row))
    if table.columns and len(columns) * _NARROWEST > out.width:
        _records(title, columns, rows)
    else:
        out.print(table)


def _records(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """Print each row as a list of its cells: more columns than the terminal has room for."""
    width = max(map(len, columns))
    _say(title)
    for row in rows:
        _say("")
        for name, cell in zip(columns, row, strict=True):
            _say(f"{escape(name):{width}}  {'' if cell is None else escape(_cell(cell))}".rstrip())


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


@app.command()
def init(
    email: Annotated[str, typer.Option(help="First lead: your own address.")] = "you@example.com",
    first_name: Annotated[str | None, typer.Option(help="First lead's name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create the workspace: starting sequences, keys, an empty ledger, you as first lead."""
    from pipeline.engine.starter import create_workspace

    made = create_workspace(_settings(), email=email, first_name=first_name, now=utc_now())
    if as_json:
        _print_json(made)
        return
    for line in made["created"]:
        _say(f"  created {escape(line)}")
    _say("Next: [bold]drip check[/], then [bold]drip tick[/], then open the mail it names.")


@app.command()
def check(as_json: AsJson = False) -> None:
    """Find every mistake in the sequences folder: file, line, field, and what to write."""
    from pipeline.sequences.check import check_folder

    problems = check_folder(_settings().sequences)
    errors = [problem for problem in problems if problem.severity == "error"]
    if as_json:
        _print_json([vars(problem) for problem in problems])
    else:
        for problem in problems:
            color = "red" if problem.severity == "error" else "yellow"
            _say(f"[{color}]{problem.severity}[/] {escape(str(problem))}")
        folder, count_warnings = escape(str(_settings().sequences)), len(problems) - len(errors)
        _say(f"{folder}: {len(errors)} errors, {count_warnings} warnings")
    if errors:
        raise typer.Exit(1)


@app.command()
def preview(
    sequence: str,
    step: str,
    lead: Annotated[str | None, typer.Option(help="Lead id, address or phone.")] = None,
    variant: Annotated[str | None, typer.Option(help="Arm of the step's experiment.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a step's message as a lead would get it, and write it as a page to open."""
    from pipeline.engine.preview import preview_step

    found = preview_step(_settings(), sequence, step, lead=lead, variant=variant, now=utc_now())
    if as_json:
        _print_json(found)
        return
    for name, value in found["headers"]:
        _say(f"[bold]{escape(name)}[/]: {escape(value)}")
    _say("")
    _say(escape(found["text"]))
    for warning in found["warnings"]:
        _say(f"[yellow]warning[/] {escape(warning)}")
    _say(f"Page: {escape(found['page'])}")


@app.command()
def tick(
    now: Annotated[str | None, typer.Option(help="Pretend it is this moment (ISO 8601).")] = None,
    loop: Annotated[bool, typer.Option(help="Go on ticking until stopped.")] = False,
    every: Annotated[float, typer.Option(help="With --loop: seconds between ticks.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Do everything that is due: ingest, enroll, plan, hand over."""
    from pipeline.engine.tick import tick as run_tick

    moment = _read_moment(now)
    stop = _told_to_stop() if loop else None
    while True:
        report = run_tick(_settings(), (lambda: moment) if moment else utc_now)
        if stop is None or report.counts:
            _show_tick(report, as_json)
        if stop is None:
            return
        if stop.wait(every):
            _complain("Stopped. Nothing is lost: the next tick goes on where this one ended.")
            return


def _told_to_stop() -> threading.Event:
    """Return what Ctrl-C and SIGTERM set, so that the tick of that moment ends as it should."""
    stop = threading.Event()

    def tell(_number: int, _frame: object) -> None:
        if stop.is_set():  # asked twice: at once, then; the next tick mends what this one left
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, tell)
    return stop


def _read_moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise DripError(
            f"--now {text!r} is no moment. Write it like 2026-01-05T15:00:00+00:00."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _show_tick(report: Any, as_json: bool) -> None:
    home = _settings().home
    mail = sorted((home / "maildir").glob("*/new/*"), key=lambda p: p.stat().st_mtime_ns)
    newest = str(mail[-1]) if mail and report.counts.get("handed_over") else None
    if as_json:
        _print_json({**vars(report), "newest_mail": newest})
        return
    counts = ", ".join(f"{name} {count}" for name, count in report.counts.items())
    _say(f"tick: {counts or 'nothing due'}")
    if report.is_stopped:
        _say(
            f"[yellow]{escape(str(home / 'STOP'))} exists: nothing is planned or handed over. "
            "Remove it to go on.[/]"
        )
    if not report.is_dispatcher:
        _say("Another dispatcher is running; the hand-over is left to it.")
    if newest:
        _say(f"mail: {escape(newest)}")
    if report.next_at:
        _say(f"next: {_cell(report.next_at)} UTC")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say how things stand: enrollments, what became of planned steps, what waits."""
    from pipeline.engine.status import read_status

    found = read_status(_settings()).as_dict()
    if as_json:
        _print_json(found)
        return
    rows = [
        [sequence, *(counts.get(name, 0) for name in _ENROLLMENT)]
        for sequence, counts in found["enrollments"].items()
    ]
    _table("Enrollments", ["sequence", *_ENROLLMENT], rows)
    _table(
        "Planned steps",
        ["planned", *found["outcomes"]],
        [[found["planned"], *found["outcomes"].values()]],
    )
    for name in ("leads", "waiting", "rejected", "next_due_at", "last_tick_at", "last_refresh_at"):
        _say(f"{name.replace('_', ' ')}: {_cell(found[name])}")
    if found["is_stopped"]:
        _say("[yellow]STOP is in force: nothing is planned or handed over.[/]")


_ENROLLMENT = ["active", "paused", "completed", "converted", "exited"]


@app.command()
def why(lead: str, as_json: AsJson = False) -> None:
    """Tell the story of a lead in order: what came, what was decided and why, what went."""
    from pipeline.engine.story import tell_story

    story = tell_story(_settings(), lead)
    if as_json:
        _print_json(story)
        return
    columns = ["moment", "topic", "what", "detail", "reason"]
    _table(f"Lead {lead} (UTC)", columns, [[row[name] for name in columns] for row in story])


@app.command()
def resume(enrollment_id: int, as_json: AsJson = False) -> None:
    """Resume a paused enrollment; its due time moves by the length of the pause."""
    from pipeline.engine.pauses import resume_enrollment

    due_at = resume_enrollment(_settings(), enrollment_id, utc_now())
    if as_json:
        _print_json({"enrollment_id": enrollment_id, "due_at": due_at})
        return
    _say(f"Enrollment {enrollment_id} goes on; next step {_cell(due_at)} UTC.")


@app.command()
def ingest(
    rejected: Annotated[bool, typer.Option(help="Run rejected records again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take landing into the ledger, without planning anything; list what was rejected."""
    from pipeline.engine.intake import take_in

    found = take_in(_settings(), utc_now(), retry=rejected)
    if as_json:
        _print_json(found)
        return
    _say(", ".join(f"{k} {v}" for k, v in found["counts"].items()) or "nothing new")
    if found["rejected"]:
        _table(
            "Rejected",
            ["id", "source", "reason"],
            [[row["rejected_id"], row["source"], row["reason"]] for row in found["rejected"]],
        )


def _import(kind: str, file: Path, map_file: Path, name: str | None, as_json: bool) -> None:
    from pipeline.inbound.importers import import_file

    report = import_file(kind, file, map_file, _settings().home, utc_now(), name=name)
    if as_json:
        _print_json(vars(report))
    else:
        _say(f"{kind}: {report.read} rows read, {report.landed} landed, {report.rejected} rejected")
        _say("They enter the ledger with the next [bold]drip tick[/] or [bold]drip ingest[/].")
    if report.rejected:
        _complain(
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


@app.command()
def refresh(
    now: Annotated[str | None, typer.Option(help="Pretend it is this moment (ISO 8601).")] = None,
    as_json: AsJson = False,
) -> None:
    """Build, audit and publish the warehouse anew, and take today's look at the experiments."""
    from pipeline.analysis.refresh import refresh as run_refresh
    from pipeline.sequences.compile import load_workspace

    settings, moment = _settings(), _read_moment(now) or utc_now()
    workspace = load_workspace(settings.sequences)
    with err.status("refresh …") as shown:
        report = run_refresh(
            settings.home,
            settings,
            moment,
            workspace=workspace,
            progress=lambda step: shown.update(f"{step} …"),
        )
    if as_json:
        _print_json(vars(report))
        return
    for warning in report.warnings:
        _say(f"[yellow]warning[/] {escape(warning)}")
    seconds = ", ".join(f"{step} {took:.1f}" for step, took in report.seconds.items())
    _say(f"refresh: {report.count_checks} checks passed, {report.count_looks} new looks")
    _say(f"seconds: {seconds}")
    _say(f"warehouse: {escape(str(report.published))}, as of {_cell(report.refreshed_at)} UTC")


@app.command()
def query(
    sql: str,
    limit: Annotated[int, typer.Option(help="Rows to show in a table.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Run SQL on the published warehouse, read-only."""
    from pipeline.warehouse.read import query as run_query

    frame = run_query(_settings().home, sql)
    if as_json:
        _print_json(frame.to_dicts())
        return
    _table(f"{frame.height} rows", frame.columns, [list(row) for row in frame.head(limit).rows()])


@app.command()
def report(as_json: AsJson = False) -> None:
    """Write the weekly review: one self-contained page."""
    from pipeline.analysis.review import write_review

    path = write_review(_settings(), utc_now())
    if as_json:
        _print_json({"path": path})
        return
    _say(f"review: {escape(str(path))}")


@app.command()
def demo(
    full: Annotated[bool, typer.Option(help="20,000 leads and 60 days.")] = False,
    leads: Annotated[int | None, typer.Option(help="Number of leads.", min=20)] = None,
    days: Annotated[int | None, typer.Option(help="Days to simulate.", min=7)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the market.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Run a simulated market with known truth through the real ring, and compare."""
    from pipeline.analysis.review import write_review
    from pipeline.simulation.drive import Progress as Point
    from pipeline.simulation.drive import demo_settings, run_demo

    home = _settings().home / "demo"
    count_days = days or (60 if full else 45)
    started = time.perf_counter()
    with Progress(
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=err,
        transient=True,
    ) as progress:
        task = progress.add_task("the market opens", total=count_days)

        def show(point: Point) -> None:
            told = f"day {point.day:.0f}: {point.count_messages} messages, {point.stage}"
            progress.update(task, completed=point.day, description=told)

        found = run_demo(
            home,
            leads=leads or (20_000 if full else 6_000),
            days=count_days,
            seed=seed,
            progress=show,
        )
        review = write_review(demo_settings(home), found.ended_at)
    seconds = time.perf_counter() - started
    if as_json:
        _print_json({**found.as_dict(), "review": review, "command_seconds": seconds})
    else:
        _show_demo(found, review, home, seconds)
    if found.double_sends or found.unwanted or not found.is_accounted:
        raise typer.Exit(1)


def _show_demo(found: Any, review: Path, home: Path, seconds: float) -> None:
    _say(
        f"{found.leads} leads, {found.messages} messages, {found.reactions} reactions, "
        f"{found.ticks} ticks, {found.refreshes} refreshes in {seconds:.0f} s"
    )
    _table(
        "What was found, and what the truth was",
        ["", "what", "found", "truth"],
        [
            ["✓" if finding.is_right else "✗", finding.what, finding.found, finding.truth]
            for finding in found.findings
        ],
    )
    _say(
        f"planned {found.planned} = "
        + " + ".join(f"{name} {count}" for name, count in found.outcomes.items())
    )
    _say(f"sent twice: {found.double_sends}, sent against a wish: {found.unwanted}")
    where = escape(str(home))
    _say(f"weekly review: {escape(str(review))}")
    _say(f"warehouse: drip --home {where} query 'from marts.funnel_steps'")
    _say(f"screens: DRIP_HOME={where} DRIP_SEQUENCES={where}/sequences make dev")


@app.command()
def inbound() -> None:
    """Run the inbound server: opens, clicks, unsubscribes, webhooks, leads."""
    from pipeline.inbound.server import serve
    from pipeline.sequences.compile import load_workspace

    settings = _settings()
    _complain(f"inbound server on http://{settings.host}:{settings.port}")
    serve(settings, workspace_name=load_workspace(settings.sequences).name)


@app.command()
def up() -> None:
    """Start the Dagster UI, the inbound server and the notebooks together; Ctrl-C stops them."""
    from pipeline.defs.up import run_all

    run_all(_settings(), echo=lambda text: _complain(escape(text)))


if __name__ == "__main__":
    main()
