"""New sequence files from a template or from another sequence, with experiment ids never used.

Belongs here: asking the ledger which experiment ids there ever were. Does not: the files
(`sequences.library`).
"""

from dataclasses import asdict
from typing import Any

from pipeline.ledger.store import ledger_path, open_ledger
from pipeline.sequences.check import check_folder
from pipeline.sequences.library import duplicate_sequence, list_templates, new_sequence
from pipeline.settings import Settings


def templates() -> list[dict[str, Any]]:
    """List the shipped templates: name, category, description."""
    return [asdict(template) for template in list_templates()]


def start_from(settings: Settings, name: str, template: str) -> dict[str, Any]:
    """Write a draft from a template.

    Returns:
        created (paths), and problems (lines) that the new file has in this workspace.

    Raises:
        DripError: no such template, or something of that name is there.
    """
    created = new_sequence(settings.sequences, name, template, _used_ids(settings))
    return {"created": list(map(str, created)), "problems": _problems(settings, name)}


def duplicate(settings: Settings, old: str, new: str) -> dict[str, Any]:
    """Copy a sequence as a draft.

    Returns:
        created (paths), experiments (old id → new id), and problems (lines) of the new file.

    Raises:
        DripError: there is no such sequence, or the new one is there already.
    """
    path, renamed = duplicate_sequence(settings.sequences, old, new, _used_ids(settings))
    return {
        "created": [str(path)],
        "experiments": renamed,
        "problems": _problems(settings, new),
    }


def _problems(settings: Settings, name: str) -> list[str]:
    return [str(p) for p in check_folder(settings.sequences) if p.file == f"{name}.yml"]


def _used_ids(settings: Settings) -> set[str]:
    if not ledger_path(settings.home).exists():
        return set()
    with open_ledger(settings.home, read_only=True) as con:
        return {row[0] for row in con.execute("select experiment_id from experiments").fetchall()}
