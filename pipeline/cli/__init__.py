"""The drip command: parse, call one function, print.

Belongs here: arguments, tables, progress bars, exit codes, one module per kind of user. Does not:
anything that a test or Dagster would want to call without a terminal; that has a room of its own.
"""

# In the order of the help page.
from pipeline.cli import (  # noqa: I001
    authoring,
    rehearsing,
    running,
    looking,
    measuring,
    deciding,
    operating,
    importing,
    reporting,
)
from pipeline.cli.app import app, main

__all__ = [
    "app",
    "authoring",
    "deciding",
    "importing",
    "looking",
    "main",
    "measuring",
    "operating",
    "rehearsing",
    "reporting",
    "running",
]
