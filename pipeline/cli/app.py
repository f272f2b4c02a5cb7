"""The drip command itself: settings before every command, one clear message for what goes wrong.

Belongs here: the root of the command line, exit codes. Does not: commands, which stand in the
modules beside this one; anything that a test or Dagster would call without a terminal.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipeline.cli.terminal import complain, use_settings
from pipeline.settings import DripError, load_settings

app = typer.Typer(
    name="drip",
    help="Drip sequences that run out of DuckDB files and know what works.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# What a shell reports for a command that Ctrl-C has ended.
_INTERRUPTED = 130


def main() -> None:
    """Run the command; whatever a person can mend becomes one clear message and exit code 1."""
    debug = False
    try:
        debug = load_settings().debug
        code = app(prog_name="drip", standalone_mode=False)
    except Exception as error:
        code = _tell(error, debug=debug)
    if code == _INTERRUPTED:
        complain("Stopped.")
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
        complain(f"[bold red]✗[/] {escape(str(error))}")
        return 1
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        complain(
            f"[bold red]✗[/] {escape(place)}{escape(error.strerror or str(error))}. See that the "
            "path exists, that you may read and write it, and that the disk has room; then run "
            "the command again."
        )
        return 1
    complain(
        f"[bold red]✗[/] {type(error).__name__}: {escape(str(error))}\n"
        "This is a defect of Driplab. Run it again with DRIP_DEBUG=1 to see where."
    )
    return 70


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
    use_settings(load_settings(home=home, sequences=sequences))
