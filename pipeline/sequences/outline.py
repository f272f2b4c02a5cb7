"""A sequence in a few lines: what is in force for it, and its steps in order.

Belongs here: settings and steps back in the words of the file, presets included. Does not: one
step's message (`messages`), what is wrong (`check`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.sequences.calendars import DAY_NAMES
from pipeline.sequences.compiled import CompiledSequence, CompiledStep
from pipeline.sequences.durations import write_delay
from pipeline.sequences.yaml_file import YamlFile, read_yaml


def in_force(sequence: CompiledSequence) -> dict[str, str]:
    """Say what applies to a sequence, whether its file or its category says so.

    Returns:
        sequence, status, category, timezone, days, hours, preferred_hours, holidays, limits, each
        as text.
    """
    calendar = sequence.calendar
    zone = calendar.timezone
    if zone == "lead":
        zone = f"lead, else {calendar.fallback_timezone}"
    limits = ((name, value) for name, value in vars(sequence.limits).items() if value is not None)
    return {
        "sequence": sequence.sequence_id,
        "status": sequence.status,
        "category": sequence.category,
        "timezone": zone,
        "days": " ".join(DAY_NAMES[day] for day in calendar.days),
        "hours": " ".join(write_window(*window) for window in calendar.windows),
        "preferred_hours": "yes" if calendar.prefers_hours else "",
        "holidays": " ".join(calendar.holidays),
        "limits": ", ".join(f"{name} {value}" for name, value in limits),
    }


def write_window(opens: int, closes: int) -> str:
    """Write hours as a file would, from minutes after midnight of the opening day.

    >>> write_window(1320, 1560)
    '22:00-02:00'
    """
    return f"{_clock(opens)}-{_clock(closes)}"


def _clock(minute: int) -> str:
    # A window that ends at midnight says 24:00; one that crosses it, the time of the next day.
    shown = minute if minute <= 24 * 60 else minute - 24 * 60
    return f"{shown // 60:02}:{shown % 60:02}"


def outline(sequence: CompiledSequence, folder: Path) -> list[dict[str, Any]]:
    """List the steps in their order: step, kind, after, when, sender, experiment, then.

    Args:
        sequence: as compiled from `folder`.
        folder: where its file stands; conditions are quoted from it.
    """
    name = f"{sequence.sequence_id}.yml"
    source = read_yaml(folder / name, name)
    written = dict(_conditions(source.data["steps"])) if isinstance(source, YamlFile) else {}
    return [
        {
            "step": step.step_id,
            "kind": step.kind,
            "after": write_delay(step.delay),
            "when": written.get(step.step_id, ""),
            "sender": step.sender or "",
            "experiment": step.experiment.experiment_id if step.experiment else "",
            "then": _then(step, sequence.steps),
        }
        for step in sequence.steps
    ]


def _conditions(steps: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for step in steps:
        yield step["id"], step.get("when") or ""
        for case in step.get("branch") or []:
            yield from _conditions(case.get("steps") or [])


def _then(step: CompiledStep, steps: tuple[CompiledStep, ...]) -> str:
    """Name what follows: of a branch all its ways, of an end what becomes of the lead."""
    if step.kind == "end":
        return step.end_status or "completed"
    targets = [target for _, target in step.cases] or [step.next_ix]
    names = [steps[target].step_id if target >= 0 else "completed" for target in targets]
    return " | ".join(dict.fromkeys(names))
