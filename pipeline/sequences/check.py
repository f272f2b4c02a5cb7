"""`drip check`: every problem of the sequences folder, errors and advice, by file and line.

Belongs here: collecting, and warnings about what runs but is unwise. Does not: errors; `compile`
finds them, so that the engine refuses the same files.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.sequences.calendars import MINUTES_PER_DAY, Calendar, open_windows
from pipeline.sequences.compile import WORKSPACE_FILE, read_folder
from pipeline.sequences.compiled import FINISHED, CompiledSequence, CompiledStep
from pipeline.sequences.model import Workspace
from pipeline.sequences.problems import Problem
from pipeline.sequences.yaml_file import KeyPath, YamlFile, read_yaml

# Phones show about fifty characters of a subject (requirements.md 113).
LONGEST_SUBJECT = 50
# Three parts of a text message; more is refused by some gateways, and paid for by each part.
LONGEST_TEXT = 480

# The blocks that scores are published for.
_BLOCK_MINUTES = 240
# Any year tells whether a calendar opens at all.
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)

__all__ = ["Problem", "check_folder", "inspect_folder"]


def check_folder(folder: Path) -> list[Problem]:
    """Find all problems of the folder, in the order of files and lines; empty when all is well."""
    return inspect_folder(folder)[0]


def inspect_folder(folder: Path) -> tuple[list[Problem], list[CompiledSequence]]:
    """Find all problems of the folder, and give the sequences that have no errors, by id."""
    workspace, sequences, problems = read_folder(folder)
    if workspace:
        problems.extend(_advise_workspace(workspace))
        for sequence in sequences:
            problems.extend(_advise_hours(sequence, workspace))
    for sequence in sequences:
        source = read_yaml(folder / f"{sequence.sequence_id}.yml", f"{sequence.sequence_id}.yml")
        if isinstance(source, YamlFile):
            problems.extend(_advise(sequence, source))
    return sorted(set(problems)), sequences


def _advise_workspace(workspace: Workspace) -> Iterator[Problem]:
    if not workspace.address.strip():
        message = "no postal address: many countries ask for one in each mail: add `address:`"
        yield Problem(WORKSPACE_FILE, 1, "address", message, "warning")


def _advise_hours(sequence: CompiledSequence, workspace: Workspace) -> Iterator[Problem]:
    """Warn where the calendar and a channel's quiet hours leave nothing open."""
    for channel in sorted({step.channel for step in sequence.steps if step.channel}):
        calendar = replace(sequence.calendar, quiet=workspace.quiet_on(channel))
        if not open_windows(calendar, "UTC", _SOME_DAY, _SOME_DAY + timedelta(days=366)):
            message = f"no {channel} step ever goes out: calendar and quiet hours leave no window"
            yield Problem(f"{sequence.sequence_id}.yml", 1, "calendar", message, "warning")


def _advise(sequence: CompiledSequence, source: YamlFile) -> Iterator[Problem]:
    if sequence.drain and sequence.status != "archived":
        message = "only an archived sequence drains: write `status: archived` or remove the line"
        yield source.problem(("drain",), message, "warning")
    is_by_hand = sequence.enroll_when_sql is None and sequence.enroll_event is None
    if sequence.status == "active" and is_by_hand:
        message = (
            "active, but nobody is enrolled by itself: write `when: lead.source = 'META'` or the "
            "like, or enroll leads by `drip enroll`"
        )
        yield source.problem(("enroll", "when"), message, "warning")
    if sequence.calendar.prefers_hours and not _has_choice(sequence.calendar):
        message = (
            "the hours leave no choice: blocks of four hours are compared (00:00 to 04:00, 04:00 "
            "to 08:00 …): write wider hours or remove the line"
        )
        yield source.problem(("calendar", "preferred_hours"), message, "warning")
    paths = dict(find_step_paths(source.data["steps"], ("steps",)))
    for step in sequence.steps:
        for key, message in _advise_step(step):
            yield source.problem((*paths[step.step_id], *key), message, "warning")


def _has_choice(calendar: Calendar) -> bool:
    """Return whether two blocks of a day are open at all."""
    blocks = {
        minute % MINUTES_PER_DAY // _BLOCK_MINUTES
        for opens, closes in calendar.windows
        for minute in range(opens, closes)
    }
    return len(blocks) > 1


def find_step_paths(steps: list[dict[str, Any]], path: KeyPath) -> Iterator[tuple[str, KeyPath]]:
    """Give the place of each step of a checked file, those of branches included."""
    for position, step in enumerate(steps):
        yield step["id"], (*path, position)
        for number, case in enumerate(step.get("branch") or []):
            inner = (*path, position, "branch", number, "steps")
            yield from find_step_paths(case.get("steps") or [], inner)


def _advise_step(step: CompiledStep) -> Iterator[tuple[KeyPath, str]]:
    subject, text = step.content.get("subject", ""), step.content.get("text", "")
    if len(subject) > LONGEST_SUBJECT and "{{" not in subject:
        message = f"{len(subject)} characters, phones show {LONGEST_SUBJECT}: shorten the subject"
        yield ("subject",), message
    if len(text) > LONGEST_TEXT:
        yield ("text",), f"{len(text)} characters are more than three messages: shorten the text"
    if step.kind == "call" and step.next_ix == FINISHED:
        message = (
            "nothing follows, so the sequence ends with this call, and a lead that asks to be "
            "called again is not: let a step such as `{id: listen, wait: 7d}` follow"
        )
        yield ("id",), message
    test = step.experiment
    if test and test.varies == "content":
        changed = [variant for variant in test.variants if variant.content or variant.sender]
        if len(changed) + 1 < len(test.variants):
            yield ("experiment", "variants"), "two variants say the same: change one of them"
