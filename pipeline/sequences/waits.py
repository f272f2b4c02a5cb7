"""Waiting for an event: from the file's words to what the engine looks for (R1).

Belongs here: what one `wait_for` must hold. Does not: when it is settled (`engine.waits`).
"""

from collections.abc import Iterator

from pipeline.sequences.compiled import WaitFor
from pipeline.sequences.conditions import Scope, url_like
from pipeline.sequences.experiments import Finding
from pipeline.sequences.model import WaitForFile, Workspace, suggest

_GOALS = ("converted", "conversion_reversed")
_NAMED = (*_GOALS, "custom")


def check_wait(
    file: WaitForFile, scope: Scope, workspace: Workspace, goal: str | None
) -> Iterator[Finding]:
    """Find what keeps it from being a wait for something that can happen.

    Args:
        file: The file's words.
        scope: The steps that may be named.
        workspace: For the goals.
        goal: The sequence's own goal, which a conversion is of when no name is given.
    """
    if file.event not in _NAMED and file.name is not None:
        yield Finding(("name",), f"{file.event} events have no name: remove it")
    if file.event in _NAMED and _name(file, goal) is None:
        yield Finding((), f"which {file.event} event? Add `name:`")
    if file.event in _GOALS and file.name is not None and file.name not in workspace.goals:
        hint = suggest(file.name, workspace.goals)
        how = f"declare it in `goals:` of workspace.yml.{hint}"
        yield Finding(("name",), f"unknown goal {file.name!r}: {how}")
    if file.url is not None and (file.event != "clicked" or not file.url.strip("*")):
        how = "write event: clicked with a url such as '*pricing*', or remove it"
        yield Finding(("url",), f"no url to wait for: {how}")
    if file.step is not None and file.step not in scope.steps:
        unknown = f"there is no such step.{suggest(file.step, list(scope.steps))}"
        why = scope.elsewhere.get(file.step, unknown)
        yield Finding(("step",), f"step {file.step!r}: {why}")


def build_wait(file: WaitForFile, scope: Scope, goal: str | None) -> WaitFor:
    """Build it from a checked file."""
    return WaitFor(
        event=file.event,
        name=_name(file, goal),
        step_ix=scope.steps.get(file.step) if file.step else None,
        url_like=url_like(file.url) if file.url else None,
        on_timeout=file.on_timeout,
    )


def _name(file: WaitForFile, goal: str | None) -> str | None:
    return file.name or (goal if file.event in _GOALS else None)
