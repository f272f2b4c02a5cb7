"""Commands that build the warehouse and what people read from it; the simulated market.

Belongs here: progress bars and tables. Does not: statistics (`analysis`).
"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

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
def refresh(
    now: Annotated[str | None, typer.Option(help="Pretend it is this moment (ISO 8601).")] = None,
    as_json: AsJson = False,
) -> None:
    """Build, audit and publish the warehouse anew, and take today's look at the experiments."""
    from pipeline.analysis.refresh import refresh as run_refresh
    from pipeline.sequences.compile import load_workspace

    settings, moment = current_settings(), read_moment(now) or utc_now()
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
        print_json(vars(report))
        return
    for warning in report.warnings:
        say(f"[yellow]warning[/] {escape(warning)}")
    seconds = ", ".join(f"{step} {took:.1f}" for step, took in report.seconds.items())
    say(f"refresh: {report.count_checks} checks passed, {report.count_looks} new looks")
    say(f"seconds: {seconds}")
    say(f"warehouse: {escape(str(report.published))}, as of {as_text(report.refreshed_at)} UTC")


@app.command()
def report(
    as_of: Annotated[
        str | None,
        typer.Option(help="An ISO week such as 2026-W45: its review, as that week ended."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the weekly review: one self-contained page."""
    from pipeline.analysis.review import write_review

    path = write_review(current_settings(), utc_now(), week=as_of)
    if as_json:
        print_json({"path": path})
        return
    say(f"review: {escape(str(path))}")


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

    home = current_settings().home / "demo"
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
        print_json({**found.as_dict(), "review": review, "command_seconds": seconds})
    else:
        _show_demo(found, review, home, seconds)
    if found.double_sends or found.unwanted or not found.is_accounted:
        raise typer.Exit(1)


def _show_demo(found: Any, review: Path, home: Path, seconds: float) -> None:
    say(
        f"{found.leads} leads, {found.messages} messages, {found.reactions} reactions, "
        f"{found.ticks} ticks, {found.refreshes} refreshes in {seconds:.0f} s"
    )
    table(
        "What was found, and what the truth was",
        ["", "what", "found", "truth"],
        [
            ["✓" if finding.is_right else "✗", finding.what, finding.found, finding.truth]
            for finding in found.findings
        ],
    )
    say(
        f"planned {found.planned} = "
        + " + ".join(f"{name} {count}" for name, count in found.outcomes.items())
    )
    say(f"sent twice: {found.double_sends}, sent against a wish: {found.unwanted}")
    where = escape(str(home))
    say(f"weekly review: {escape(str(review))}")
    say(f"warehouse: drip --home {where} query 'from marts.funnel_steps'")
    say(f"screens: DRIP_HOME={where} DRIP_SEQUENCES={where}/sequences make dev")
