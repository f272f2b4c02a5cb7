"""The weekly experiment review: one self-contained page that anybody can open, print or mail.

Belongs here: the pieces as HTML, for the page and for the notebooks; the page's file. Does not:
numbers and words (`findings`), charts (`charts`). No script, no outside address, no clock inside.
"""

import os
from datetime import datetime
from functools import cache
from pathlib import Path

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.analysis import advice, findings
from pipeline.analysis.charts import bar_svg, curve_svg, interval_svg, trend_svg
from pipeline.sequences.compile import load_workspace
from pipeline.settings import Settings
from pipeline.warehouse.paths import name_week
from pipeline.warehouse.read import open_warehouse

_HERE = Path(__file__).parent


def write_review(settings: Settings, now: datetime, *, week: str | None = None) -> Path:
    """Write the review of a week to `reports/<ISO week>.html`; return its path.

    The file replaces that week's earlier review. Its bytes depend on the warehouse and the
    workspace's name only.

    Args:
        settings: home and workspace.yml.
        now: names the week, in the workspace's zone, of a review of what is published now.
        week: an ISO week such as `2026-W47`: its review as its last refresh left the warehouse.

    Raises:
        NothingPublished: no refresh has been published, or none in that week.
        DripError: workspace.yml is missing or wrong.
    """
    workspace = load_workspace(settings.sequences)
    with open_warehouse(settings.home, snapshot=week) as con:
        page = render_review(con, workspace.name)
        week = week or name_week(now, findings.header(con).timezone)
    path = settings.home / "reports" / f"{week}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.fresh")
    fresh.write_text(page, encoding="utf-8")
    fresh.replace(path)
    return path


def render_review(con: duckdb.DuckDBPyConnection, workspace: str) -> str:
    """Return the page of an open warehouse."""
    cards = findings.experiment_cards(con)
    totals, of_totals = findings.totals(con)
    return (
        _environment()
        .get_template("review.html")
        .render(
            workspace=workspace,
            css=stylesheet(),
            header=findings.header(con),
            totals=totals,
            of_totals=of_totals,
            funnels=findings.funnel_table(con),
            insights=advice.insight_lists(con),
            words=advice.word_cards(con),
            cards=cards,
            counts=count_states(cards),
            delays=findings.delay_cards(con),
            curves=findings.curve_cards(con),
            targets=findings.target_lines(con),
            quality=findings.quality_checks(con),
        )
    )


def render_piece(name: str, piece: object) -> str:
    """Return one piece as HTML, as the page shows it, with its style: for notebooks.

    Args:
        name: funnel, experiment, delay, curve, insight or word.
        piece: what the function of that name in `findings` or `advice` gave.
    """
    template = _environment().get_template("review_pieces.html")
    macro = getattr(template.make_module(), name)
    page = Markup('<style>{}</style><div class="review">{}</div>')
    return str(page.format(stylesheet(), macro(piece)))


def stylesheet() -> Markup:
    """Return the style of page and pieces."""
    names = ("charts.css", "review.css")
    text = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)
    return Markup(text)  # noqa: S704  our own files


def count_states(cards: list[findings.ExperimentCard]) -> list[tuple[str, str, int]]:
    """Return states with their name and number of experiments, as far as there are any."""
    states = [card.state for card in cards]
    return [
        (state, name, states.count(state))
        for state, name in findings.STATES.items()
        if state in states
    ]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "bar_svg": bar_svg,
        "curve_svg": curve_svg,
        "interval_svg": interval_svg,
        "trend_svg": trend_svg,
        "groups": findings.GROUPS,
    }
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment
