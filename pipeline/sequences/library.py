"""Sequences to begin from: the shipped templates, a new file from one, a copy of one's own.

Belongs here: the files below `library/`, and rewriting a few values of a YAML file in place, so
that comments and layout stay. Does not: what the ledger knows of experiments (`engine.copying`).
"""

import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from pipeline.sequences.compile import SEQUENCE_ID, WORKSPACE_FILE
from pipeline.sequences.problems import Problem
from pipeline.sequences.yaml_file import KeyPath, YamlFile, read_yaml, write_path
from pipeline.settings import DripError

SHIPPED = Path(__file__).with_name("library")
LONGEST_NAME = 60


@dataclass(frozen=True)
class Template:
    """One shipped sequence."""

    name: str
    category: str
    description: str


def list_templates(folder: Path = SHIPPED) -> list[Template]:
    """List the templates by category and name."""
    found = [
        Template(path.stem, source.data["category"], source.data["description"])
        for path in folder.glob("*.yml")
        if isinstance(source := read_yaml(path, path.name), YamlFile)
    ]
    return sorted(found, key=lambda template: (template.category, template.name))


def new_sequence(folder: Path, name: str, template: str, taken: Collection[str]) -> list[Path]:
    """Write a draft from a template, its texts into `templates/<name>/`.

    Args:
        folder: the sequences folder.
        name: id of the new sequence.
        template: name of a shipped one.
        taken: experiment ids that are used already, for ever.

    Returns:
        The files written; the sequence first.

    Raises:
        DripError: no such template, or something of that name is there.
    """
    known = [found.name for found in list_templates()]
    if template not in known:
        raise DripError(f"There is no template {template!r}. Templates: {', '.join(known)}.")
    target = _free_path(folder, name)
    source = _read(SHIPPED / f"{template}.yml")
    changes = _experiment_changes(source, name, taken)
    texts: dict[Path, Path] = {}
    for path, body in _values(source.data, "body"):
        new_body = f"templates/{name}/{Path(body).name}"
        changes[path] = new_body
        texts[SHIPPED / body] = folder / new_body
    for text in texts.values():
        if text.exists():
            raise DripError(f"{text} is there already: remove it, or choose another name.")
    content = rewrite((SHIPPED / f"{template}.yml").read_text(encoding="utf-8"), changes)
    for origin, text in texts.items():
        text.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, text)
    _write(target, content)
    return [target, *texts.values()]


def duplicate_sequence(
    folder: Path, old: str, new: str, taken: Collection[str]
) -> tuple[Path, dict[str, str]]:
    """Copy a sequence as a draft: comments stay, texts are shared, experiments get new ids.

    Args:
        folder: the sequences folder.
        old: id of the sequence to copy.
        new: id of the copy.
        taken: experiment ids that are used already, for ever.

    Returns:
        The new file, and the new experiment id of each old one.

    Raises:
        DripError: there is no such sequence, it cannot be read, or the new one is there already.
    """
    path = folder / f"{old}.yml"
    if old == WORKSPACE_FILE.removesuffix(".yml") or not path.is_file():
        known = sorted(p.stem for p in folder.glob("*.yml") if p.name != WORKSPACE_FILE)
        raise DripError(f"There is no sequence {old!r}. Sequences: {', '.join(known) or 'none'}.")
    target = _free_path(folder, new)
    source = _read(path)
    changes = _experiment_changes(source, new, {*taken, *experiment_ids(folder)})
    renamed = {str(_value_at(source.data, where)): name for where, name in changes.items()}
    changes |= {("status",): "draft"} if "status" in source.data else {}
    changes |= {("name",): new} if "name" in source.data else {}
    _write(target, rewrite(path.read_text(encoding="utf-8-sig"), changes))
    return target, renamed


def experiment_ids(folder: Path) -> set[str]:
    """Collect the ids of all experiments in the folder's files, broken files left out."""
    return {
        value
        for path in folder.glob("*.yml")
        if isinstance(source := read_yaml(path, path.name), YamlFile)
        for place, value in _values(source.data, "id")
        if place[-2:] == ("experiment", "id")
    }


def rewrite(text: str, changes: Mapping[KeyPath, str]) -> str:
    """Replace single values of a YAML text where they stand; every other character stays.

    >>> rewrite("status: active   # runs", {("status",): "draft"})
    'status: draft   # runs'

    Raises:
        DripError: a value is written in a way that cannot be replaced safely.
    """
    tree = YAML(typ="rt", pure=True).load(text)
    lines = text.splitlines(keepends=True)
    places = {path: _place(tree, path) for path in changes}
    # From the end, so that places in front stay where they are.
    for path, (line, column) in sorted(places.items(), key=lambda item: item[1], reverse=True):
        old = str(_value_at(tree, path))
        start = column + 1 if lines[line][column] in "'\"" else column
        if not lines[line].startswith(old, start):
            where = f"line {line + 1}, {write_path(path)}"
            raise DripError(f"{where}: write {old!r} on the line of its key, then try again.")
        lines[line] = lines[line][:start] + changes[path] + lines[line][start + len(old) :]
    return "".join(lines)


def _place(tree: Any, path: KeyPath) -> tuple[int, int]:
    parent = _value_at(tree, path[:-1])
    is_map = isinstance(parent, CommentedMap)
    line, column = parent.lc.value(path[-1]) if is_map else parent.lc.item(path[-1])
    return int(line), int(column)


def _value_at(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = data[part]
    return data


def _values(data: Any, key: str, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Find every text under a key, at any depth."""
    parts = data.items() if isinstance(data, dict) else enumerate(data)
    for name, value in parts:
        if isinstance(value, dict | list):
            yield from _values(value, key, (*path, name))
        elif name == key and isinstance(value, str):
            yield (*path, name), value


def _experiment_changes(source: YamlFile, name: str, taken: Collection[str]) -> dict[KeyPath, str]:
    changes: dict[KeyPath, str] = {}
    used = set(taken)
    for path, _ in _values(source.data, "id"):
        if path[-2:] != ("experiment", "id"):
            continue
        step = str(_value_at(source.data, path[:-2])["id"])
        changes[path] = _free_id(f"{name}_{step}", used)
        used.add(changes[path])
    return changes


def _free_id(stem: str, used: Collection[str]) -> str:
    number = 1
    while (found := f"{stem[: LONGEST_NAME - len(str(number)) - 1]}_{number}") in used:
        number += 1
    return found


def _free_path(folder: Path, name: str) -> Path:
    if not SEQUENCE_ID.fullmatch(name):
        raise DripError(f"{name!r} is no id: write small letters, digits and _, from a letter.")
    target = folder / f"{name}.yml"
    if target.exists():
        raise DripError(f"{target} is there already: choose another name, nothing was written.")
    if not folder.is_dir():
        raise DripError(f"{folder} is missing: run `drip init`, or point DRIP_SEQUENCES to it.")
    return target


def _read(path: Path) -> YamlFile:
    source = read_yaml(path, path.name)
    if isinstance(source, Problem):
        raise DripError(f"{source}. Mend it first; `drip check` lists all problems.")
    return source


def _write(path: Path, text: str) -> None:
    # Never over a file that somebody has written meanwhile.
    with path.open("x", encoding="utf-8", newline="") as file:
        file.write(text)
