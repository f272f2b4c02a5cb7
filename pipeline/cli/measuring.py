"""Commands about metrics: which there are, what they say.

Belongs here: options, tables. Does not: definitions and the SQL of a question (`warehouse`).
"""

import sys
from datetime import date
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from pipeline.cli.app import app
from pipeline.cli.terminal import AsJson, as_text, current_settings, print_json, say, table
from pipeline.settings import DripError

AsOf = Annotated[
    str | None, typer.Option(help="An ISO week (2026-W47), as its last refresh left it.")
]


@app.command()
def metrics(
    names: Annotated[
        list[str] | None, typer.Argument(help="Tell all of these, their dimensions too.")
    ] = None,
    as_of: AsOf = None,
    markdown: Annotated[bool, typer.Option(help="Print the page docs/metrics.md.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the metrics of the published warehouse with their definitions."""
    from pipeline.warehouse.definitions import read_definitions
    from pipeline.warehouse.metrics_page import metrics_page
    from pipeline.warehouse.read import open_warehouse

    with open_warehouse(current_settings().home, snapshot=as_of) as con:
        definitions = read_definitions(con)
    found = [definitions.find(name) for name in names or definitions.metrics]
    if as_json:
        print_json([metric.as_dict() for metric in found])
    elif markdown:
        sys.stdout.write(metrics_page(definitions))
    elif names:
        for metric in found:
            _tell_metric(metric)
    else:
        for group in definitions.groups:
            say(f"\n[bold]{escape(group.name)}[/]: {escape(group.definition)}")
            table("", ["metric", "definition"], [[m.name, m.definition] for m in group.metrics])
        say(
            "`drip metrics NAME` tells by what a metric can be split, `drip metric NAME` its value."
        )


def _tell_metric(metric: Any) -> None:
    say(f"\n[bold]{escape(metric.name)}[/]: {escape(metric.definition)}")
    say(f"{escape(metric.formula)}, from {' and '.join(metric.marts)}")
    table("", ["dimension", "definition"], [[d.name, d.definition] for d in metric.dimensions])


@app.command()
def metric(
    names: Annotated[list[str], typer.Argument(help="Metrics, as `drip metrics` lists them.")],
    *,
    by: Annotated[
        list[str] | None, typer.Option(help="Split by it: channel, or channel,lead.country.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="A condition: \"channel = 'email' and step = 'welcome'\".")
    ] = None,
    grain: Annotated[
        Literal["day", "week", "month"] | None, typer.Option(help="Split by it, too.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="First day, such as 2026-11-01.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day.")] = None,
    limit: Annotated[int | None, typer.Option(help="No more rows than that.", min=1)] = None,
    order: Annotated[
        str | None, typer.Option(help="Order by it: weekday, or -sent for the largest first.")
    ] = None,
    as_of: AsOf = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL and do not run it.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    as_json: AsJson = False,
) -> None:
    """Query metrics of the published warehouse: over time, by dimensions, under a condition."""
    from pipeline.warehouse.metrics import Question, ask, explain

    question = Question(
        metrics=_each(names),
        by=_each(by or []),
        where=where,
        grain=grain,
        start=_day("--start", start),
        end=_day("--end", end),
        limit=limit,
        order=order,
    )
    if sql:
        sys.stdout.write(explain(current_settings().home, question, snapshot=as_of) + "\n")
        return
    answer = ask(current_settings().home, question, snapshot=as_of)
    if as_json:
        print_json(answer.rows.to_dicts())
    elif as_csv:
        sys.stdout.write(answer.rows.write_csv())
    else:
        rows = [list(row) for row in answer.rows.rows()]
        table(f"As of {as_text(answer.refreshed_at)} UTC", answer.rows.columns, rows)
        for one in answer.metrics:
            say(f"[bold]{escape(one.name)}[/]: {escape(one.definition)}")


def _each(names: list[str]) -> tuple[str, ...]:
    """Return names that were given one by one, or with commas, each once."""
    parts = [part.strip() for name in names for part in name.split(",")]
    return tuple(dict.fromkeys(part for part in parts if part))


def _day(option: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise DripError(f"{option} {text!r} is no day. Write it like 2026-11-01.") from None


@app.command()
def changed(
    name: Annotated[str, typer.Argument(help="A metric that has days.", metavar="METRIC")],
    since: Annotated[str, typer.Option(help="An ISO week with a snapshot, such as 2026-W45.")],
    as_json: AsJson = False,
) -> None:
    """Explain why a metric of past days is another one than a week's snapshot says."""
    from pipeline.warehouse.changes import explain_change

    found = explain_change(current_settings().home, name, since)
    if as_json:
        print_json(found.as_dict())
        return
    title = f"{name} of the days before {found.until}"
    then = f"then, {as_text(found.snapshot_at)} UTC"
    rows = [[part, *values] for part, values in found.values.items()]
    table(title, ["", then, "now"], rows)
    if found.formula_then != found.metric.formula:
        say(f"[yellow]It was defined otherwise:[/] {escape(found.formula_then)}")
    if found.causes:
        columns = ["of", "what moved it", "rows", "difference", "such as"]
        cells = [[c.name, c.what, c.count_rows, c.difference, c.examples] for c in found.causes]
        table("Why", columns, cells)
    else:
        say("No row behind it counts otherwise.")
