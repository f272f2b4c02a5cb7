"""What every command shares: the settings of this run, tables, one JSON document, plain words.

Belongs here: printing and what arguments have in common. Does not: commands, which stand in the
modules beside this one by who uses them.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.settings import DripError, Settings

out = Console()
err = Console(stderr=True)
_state: dict[str, Settings] = {}

# A column of a table needs as many characters to be read.
_NARROWEST = 9

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


def use_settings(found: Settings) -> None:
    """Keep the settings that the options before the command have chosen."""
    _state["settings"] = found


def current_settings() -> Settings:
    """Return the settings of this run."""
    return _state["settings"]


def complain(text: str) -> None:
    """Print to standard error, not cut into lines: a path or a command stays whole for copying."""
    err.print(text, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line of rich markup."""
    out.print(text, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON document and nothing else."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)


def table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """Print rows as a table; each as a list of its cells where the terminal is too narrow."""
    drawn = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        drawn.add_column(escape(name), overflow="fold")
    for row in rows:
        drawn.add_row(*("" if cell is None else escape(as_text(cell)) for cell in row))
    if drawn.columns and len(columns) * _NARROWEST > out.width:
        _records(title, columns, rows)
    else:
        out.print(drawn)


def _records(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """Print each row as a list of its cells: more columns than the terminal has room for."""
    width = max(map(len, columns))
    say(title)
    for row in rows:
        say("")
        for name, cell in zip(columns, row, strict=True):
            say(f"{escape(name):{width}}  {'' if cell is None else escape(as_text(cell))}".rstrip())


def as_text(value: object) -> str:
    """Return a value as people read it: moments to the minute, numbers to four digits."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def read_moment(text: str | None) -> datetime | None:
    """Return the moment that `--now` pretends; without a zone it is UTC.

    Raises:
        DripError: the text is no moment.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise DripError(
            f"--now {text!r} is no moment. Write it like 2026-01-05T15:00:00+00:00."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
