"""Archiving a sequence: two lines of its file, every other byte as it was.

Belongs here: the edit. Does not: what an archived sequence does to those in it (`engine.stops`).
"""

from pathlib import Path

from pipeline.sequences.problems import Problem
from pipeline.sequences.yaml_file import read_yaml, write_edit
from pipeline.settings import DripError

_FIELDS = ("status", "drain")


def archive_file(folder: Path, name: str, *, drain: bool) -> Path:
    """Write `status: archived` (and `drain: true`) into a sequence's file; comments stay.

    Args:
        folder: the sequences folder.
        name: the sequence.
        drain: let those in it finish.

    Raises:
        DripError: there is no such file, it is archived so already, or its form is too unusual.
    """
    path = folder / f"{name}.yml"
    if not path.is_file():
        known = sorted(p.stem for p in folder.glob("*.yml") if p.stem != "workspace")
        raise DripError(f"{path} does not exist. Known: {', '.join(known) or 'none'}.")
    before = read_yaml(path, path.name)
    if isinstance(before, Problem):
        raise DripError(f"{before}. Mend the file first.")
    wanted = {key: value for key, value in before.data.items() if key not in _FIELDS}
    wanted |= {"status": "archived"} | ({"drain": True} if drain else {})
    if before.data == wanted:
        raise DripError(f"{path.name} is archived already.")
    text = path.read_text(encoding="utf-8")
    lines = "`status: archived` and `drain: true`" if drain else "`status: archived`"
    edited = _edited(text, before.lines, drain=drain)
    write_edit(path, edited, wanted, f"write {lines} yourself")
    return path


def _edited(text: str, places: dict[tuple[str | int, ...], int], *, drain: bool) -> str:
    lines = text.splitlines(keepends=True)
    kept = dict(enumerate(lines, 1))
    if ("drain",) in places:
        kept.pop(places["drain",])
    new = "status: archived\n" + ("drain: true\n" if drain else "")
    place = places.get(("status",))
    if place is None:
        return new + "".join(kept.values())
    _, mark, comment = kept[place].rstrip("\r\n").partition(" #")
    first, *others = new.splitlines(keepends=True)
    kept[place] = first.rstrip("\n") + (f"  #{comment}" if mark else "") + "\n" + "".join(others)
    return "".join(kept.values())
