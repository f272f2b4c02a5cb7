"""Promoting an arm: what it varies becomes the step's own, and the experiment leaves the file.

Belongs here: the edit. Does not: which arm has won (`engine.promotion`), versions (`compile`).
"""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.sequences.problems import Problem
from pipeline.sequences.yaml_file import KeyPath, YamlFile, read_yaml, write_edit
from pipeline.settings import DripError

# What reads as text without quotes, whatever stands in it.
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*(?:[/.-][a-z0-9_]+)+")


@dataclass(frozen=True)
class Tested:
    """Where an experiment stands: its file, the path of its step, what it says."""

    path: Path
    file: YamlFile
    step: KeyPath
    experiment: dict[str, Any]


def find_experiment(folder: Path, experiment_id: str) -> Tested:
    """Find the step with this experiment in the files of a folder.

    Raises:
        DripError: no readable file has it.
    """
    known: list[str] = []
    for path in sorted(folder.glob("*.yml")):
        file = read_yaml(path, path.name)
        if isinstance(file, Problem):
            continue
        for step, experiment in _experiments(file.data.get("steps"), ("steps",)):
            if experiment.get("id") == experiment_id:
                return Tested(path, file, step, experiment)
            known.append(str(experiment.get("id")))
    raise DripError(
        f"No file in {folder} has an experiment {experiment_id!r}. "
        f"Known: {', '.join(known) or 'none'}."
    )


def _experiments(steps: object, path: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    for number, step in enumerate(steps if isinstance(steps, list) else []):
        if not isinstance(step, dict):
            continue
        here = (*path, number)
        if isinstance(step.get("experiment"), dict):
            yield here, step["experiment"]
        cases = step.get("branch")
        for nth, case in enumerate(cases if isinstance(cases, list) else []):
            if isinstance(case, dict):
                yield from _experiments(case.get("steps"), (*here, "branch", nth, "steps"))


def promote_arm(tested: Tested, arm: str) -> None:
    """Write what the arm varies into the step and take the experiment out; other bytes stay.

    Raises:
        DripError: there is no such arm, the step cannot say what it varies, or the form of the file
            is too unusual; nothing is written then.
    """
    variants = {variant["id"]: variant for variant in tested.experiment["variants"]}
    if arm not in variants:
        raise DripError(f"There is no arm {arm!r}. Known: {', '.join(variants)}.")
    varied = {key: value for key, value in variants[arm].items() if key != "id"}
    if not varied.pop("present", True):
        raise DripError(f"Arm {arm} leaves the step out: remove the step from {tested.file.name}.")
    if "hours" in varied:
        raise DripError(
            f"Arm {arm} sends at {varied['hours']}, which a step cannot say: "
            "write `hours:` of the sequence's `calendar:`, or a sequence of its own."
        )
    wanted = deepcopy(tested.file.data)
    step = _at(wanted, tested.step)
    del step["experiment"]
    step |= varied
    text = tested.path.read_text(encoding="utf-8")
    advice = f"write what arm {arm} varies into the step and remove its `experiment:` yourself"
    write_edit(tested.path, _edited(text, tested, varied), wanted, advice)


def _at(data: Any, path: KeyPath) -> dict[str, Any]:
    for part in path:
        data = data[part]
    return data  # type: ignore[no-any-return]


def _edited(text: str, tested: Tested, varied: dict[str, Any]) -> str:
    lines = text.splitlines(keepends=True)
    places = tested.file.lines
    first = places[*tested.step, "experiment"] - 1
    indent = re.match(r" *", lines[first])[0]  # type: ignore[index]
    added = [f"{indent}{key}: {_scalar(value)}\n" for key, value in varied.items()]
    of_key = dict(zip(varied, added, strict=True))
    # From the last line to the first, so that the places of the others stay.
    edits = [(first, "".join(of_key[key] for key in varied if (*tested.step, key) not in places))]
    edits += [
        (places[*tested.step, key] - 1, of_key[key])
        for key in varied
        if (*tested.step, key) in places
    ]
    for begin, new in sorted(edits, reverse=True):
        end = _end_of(lines, begin)
        # The first key of a step stands behind its dash.
        mark = re.match(r" *(?:- +)?", lines[begin])[0]  # type: ignore[index]
        lines[begin:end] = [mark + new.lstrip(" ")] if new and mark.strip() else [new]
    return "".join(lines)


def _end_of(lines: list[str], begin: int) -> int:
    """Return the line behind a key and all that belongs to it."""
    mark = re.match(r" *(?:- +)?", lines[begin])[0]  # type: ignore[index]
    end = last = begin + 1
    while end < len(lines):
        line = lines[end]
        if line.strip() and not line.lstrip().startswith("#"):
            if len(line) - len(line.lstrip(" ")) <= len(mark):
                break
            last = end + 1
        end += 1
    return last


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)
