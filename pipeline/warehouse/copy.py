"""The copy of the ledger that a refresh reads, so that the ledger is locked for seconds only.

Belongs here: making the copy, throwing it away. Does not: copying a ledger under its lock
(`ledger.store`), what is built from it (`build`).
"""

from pathlib import Path

from pipeline.ledger.store import copy_ledger
from pipeline.warehouse.paths import ledger_copy_path


def copy_facts(home: Path) -> Path:
    """Copy the ledger into the home's dbt folder and return the copy."""
    copy = ledger_copy_path(home)
    copy.parent.mkdir(parents=True, exist_ok=True)
    discard_facts(home)
    copy_ledger(home, copy)
    copy.chmod(0o600)
    return copy


def discard_facts(home: Path) -> None:
    """Delete the copy: names and addresses live in the ledger only (rules.md R22)."""
    copy = ledger_copy_path(home)
    copy.unlink(missing_ok=True)
    copy.with_name(copy.name + ".wal").unlink(missing_ok=True)
