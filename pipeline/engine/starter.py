"""A new workspace: sequences to start from, keys, an empty ledger, and a first lead.

Belongs here: what `drip init` leaves behind. Does not: the starting sequences themselves, which
stand in `sequences/` of the project.
"""

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.inbound.landing import append_lines, landing_line, random_id
from pipeline.inbound.records import Lead, plain_message
from pipeline.ledger.store import create_ledger, ledger_path
from pipeline.settings import DripError, Settings

_SHIPPED = Path(__file__).parents[2] / "sequences"


def create_workspace(
    settings: Settings, *, email: str, first_name: str | None, now: datetime
) -> dict[str, Any]:
    """Create what is missing of a workspace; what is there stays as it is.

    Args:
        settings: home and sequences.
        email: the first lead's address; nothing leaves the machine until a transport says so.
        first_name: the first lead's name.
        now: the lead's moment.

    Returns:
        `created`: what is new, in words.

    Raises:
        DripError: the address is none, or the starting sequences are not part of this installation.
    """
    lead = _first_lead(email, first_name)
    created = []
    if not (settings.sequences / "workspace.yml").exists():
        if not _SHIPPED.is_dir():
            raise DripError(
                "The starting sequences are missing from this installation. "
                f"Write {settings.sequences / 'workspace.yml'} yourself, or clone the project."
            )
        shutil.copytree(
            _SHIPPED, settings.sequences, dirs_exist_ok=True, copy_function=_copy_if_missing
        )
        created.append(f"{settings.sequences} with workspace.yml and sequences to start from")
    is_new = not ledger_path(settings.home).exists()
    create_ledger(settings.home)
    if is_new:
        created.append(f"{settings.home} with keys.json and an empty ledger")
        line = landing_line(line_id=random_id(), received_at=now, source="operator", leads=[lead])
        append_lines(settings.home, "operator", [line], now)
        created.append(f"a first lead, {email}")
    return {
        "created": created or ["nothing: the workspace was there already"],
        "home": str(settings.home),
        "sequences": str(settings.sequences),
    }


def _first_lead(email: str, first_name: str | None) -> dict[str, Any]:
    try:
        return Lead(email=email, first_name=first_name, source="MANUAL").dump()
    except ValidationError as error:
        reason = plain_message(error.errors()[0]["msg"])
        raise DripError(f"The first lead's address {email!r} {reason}.") from None


def _copy_if_missing(source: str, target: str) -> None:
    if not Path(target).exists():
        shutil.copy2(source, target)
