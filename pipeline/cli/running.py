"""Commands that run the ring: tick, ingest, the servers.

Belongs here: loops in a terminal and their end. Does not: what a tick does (`engine`).
"""

import signal
import threading
from typing import Annotated, Any

import typer
from rich.markup import escape

from pipeline.cli.app import app
from pipeline.cli.terminal import (
    AsJson,
    as_text,
    complain,
    current_settings,
    print_json,
    read_moment,
    say,
    table,
)
from pipeline.settings import utc_now


@app.command()
def tick(
    now: Annotated[str | None, typer.Option(help="Pretend it is this moment (ISO 8601).")] = None,
    loop: Annotated[bool, typer.Option(help="Go on ticking until stopped.")] = False,
    every: Annotated[float, typer.Option(help="With --loop: seconds between ticks.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Do everything that is due: ingest, enroll, plan, hand over."""
    from pipeline.engine.tick import tick as run_tick

    moment = read_moment(now)
    stop = _told_to_stop() if loop else None
    while True:
        report = run_tick(current_settings(), (lambda: moment) if moment else utc_now)
        if stop is None or report.counts:
            _show_tick(report, as_json)
        if stop is None:
            return
        if stop.wait(every):
            complain("Stopped. Nothing is lost: the next tick goes on where this one ended.")
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


def _show_tick(report: Any, as_json: bool) -> None:
    home = current_settings().home
    mail = sorted((home / "maildir").glob("*/new/*"), key=lambda p: p.stat().st_mtime_ns)
    newest = str(mail[-1]) if mail and report.counts.get("handed_over") else None
    if as_json:
        print_json({**vars(report), "newest_mail": newest})
        return
    counts = ", ".join(f"{name} {count}" for name, count in report.counts.items())
    say(f"tick: {counts or 'nothing due'}")
    if report.is_stopped:
        say(
            f"[yellow]{escape(str(home / 'STOP'))} exists: nothing is planned or handed over. "
            "Remove it to go on.[/]"
        )
    if not report.is_dispatcher:
        say("Another dispatcher is running; the hand-over is left to it.")
    if newest:
        say(f"mail: {escape(newest)}")
    if report.next_at:
        say(f"next: {as_text(report.next_at)} UTC")


@app.command()
def ingest(
    rejected: Annotated[bool, typer.Option(help="Run rejected records again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take landing into the ledger, without planning anything; list what was rejected."""
    from pipeline.engine.intake import take_in

    found = take_in(current_settings(), utc_now(), retry=rejected)
    if as_json:
        print_json(found)
        return
    say(", ".join(f"{k} {v}" for k, v in found["counts"].items()) or "nothing new")
    if found["rejected"]:
        table(
            "Rejected",
            ["id", "source", "reason"],
            [[row["rejected_id"], row["source"], row["reason"]] for row in found["rejected"]],
        )


@app.command()
def inbound() -> None:
    """Run the inbound server: opens, clicks, unsubscribes, webhooks, leads."""
    from pipeline.inbound.server import serve
    from pipeline.sequences.compile import load_workspace

    settings = current_settings()
    complain(f"inbound server on http://{settings.host}:{settings.port}")
    serve(settings, workspace_name=load_workspace(settings.sequences).name)


@app.command()
def up() -> None:
    """Start the Dagster UI, the inbound server and the notebooks together; Ctrl-C stops them."""
    from pipeline.defs.up import run_all

    run_all(current_settings(), echo=lambda text: complain(escape(text)))
