"""Taking landing into the ledger without planning: `drip ingest`.

Belongs here: ingest with the reactions that belong to it, and rejected records run again. Does not:
planning (`tick`).
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from pipeline.engine.programme import load_programme
from pipeline.engine.reactions import apply_reactions
from pipeline.engine.tick import load_files
from pipeline.inbound.ingest import ingest, retry_rejected
from pipeline.ledger.store import open_ledger, transaction
from pipeline.settings import Settings


def take_in(settings: Settings, now: datetime, *, retry: bool = False) -> dict[str, Any]:
    """Ingest everything that has landed, with its reactions, in short transactions.

    Args:
        settings: home and sequences.
        now: the moment of the ingest.
        retry: run rejected records again, afterwards.

    Returns:
        `counts`, and the unresolved rows of `rejected` without their raw text.
    """
    workspace, sequences = load_files(settings.sequences)
    counts: dict[str, int] = {}
    has_more = True
    while has_more:
        with open_ledger(settings.home) as con, transaction(con):
            taken = ingest(con, settings.home, now=now, attributes=workspace.attributes)
            load_programme(con, workspace, sequences, now)
            apply_reactions(con, now)
            has_more = taken.has_more
        _add(counts, asdict(taken))
    with open_ledger(settings.home) as con, transaction(con):
        if retry:
            load_programme(con, workspace, sequences, now)
            taken = retry_rejected(con, now=now, attributes=workspace.attributes)
            apply_reactions(con, now)
            _add(counts, asdict(taken))
        rejected = con.sql(
            "select rejected_id, segment, source, reason, received_at from rejected "
            "where resolved_at is null order by rejected_id limit 100"
        ).pl()
    return {"counts": counts, "rejected": rejected.to_dicts()}


def _add(counts: dict[str, int], report: dict[str, Any]) -> None:
    for name, count in report.items():
        if count and name != "has_more":
            counts[name] = counts.get(name, 0) + int(count)
