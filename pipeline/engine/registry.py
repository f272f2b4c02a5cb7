"""What the ledger remembers of each sequence file, and of the prices in workspace.yml.

Belongs here: the tables `sequences` and `prices`. Does not: versions (`programme`), the files
(`sequences`).
"""

from collections.abc import Sequence
from datetime import datetime

import duckdb
import polars as pl

from pipeline.sequences.compiled import CompiledSequence
from pipeline.sequences.model import Workspace

_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "sequence_id": pl.String,
    "name": pl.String,
    "owner": pl.String,
    "status": pl.String,
    "fingerprint": pl.String,
    "campaign": pl.String,
    "tags": pl.List(pl.String),
}
REMOVED = "removed"
_FORGET = """
update sequences set status = $removed, fingerprint = '', updated_at = $now
where status != $removed and sequence_id not in (select sequence_id from file_frame)
"""
_CHANGE = """
update sequences set
    name = f.name,
    owner = f.owner,
    status = f.status,
    fingerprint = f.fingerprint,
    campaign = f.campaign,
    tags = f.tags,
    updated_at = $now
from file_frame as f
where sequences.sequence_id = f.sequence_id and sequences.fingerprint != f.fingerprint
"""
_ADD = """
insert into sequences by name
select
    sequence_id, name, owner, owner as created_by, $now as created_at, $now as updated_at, status,
    fingerprint, campaign, tags
from file_frame
where sequence_id not in (select sequence_id from sequences)
"""


def register_sequences(
    con: duckdb.DuckDBPyConnection, sequences: Sequence[CompiledSequence], now: datetime
) -> bool:
    """Write what is new, changed or gone, and return whether there was anything.

    Must run inside a transaction. A file that comes back keeps its creation.
    """
    known = con.execute(
        "select sequence_id, fingerprint from sequences where status != ?", [REMOVED]
    ).fetchall()
    if dict(known) == {s.sequence_id: s.fingerprint for s in sequences}:
        return False
    rows = [
        {
            "sequence_id": s.sequence_id,
            "name": s.name,
            "owner": s.owner,
            "status": s.status,
            "fingerprint": s.fingerprint,
            "campaign": s.campaign,
            "tags": list(s.tags),
        }
        for s in sequences
    ]
    con.register("file_frame", pl.DataFrame(rows, schema=_SCHEMA, orient="row"))
    con.execute(_FORGET, {"removed": REMOVED, "now": now})
    con.execute(_CHANGE, {"now": now})
    con.execute(_ADD, {"now": now})
    con.unregister("file_frame")
    return True


def register_prices(con: duckdb.DuckDBPyConnection, workspace: Workspace, now: datetime) -> None:
    """Write what a message of a sender costs from now on, where that is new or has changed.

    Must run inside a transaction. A price that stands no longer in the file ends with a null.
    """
    known = {
        sender: (cost, currency)
        for sender, cost, currency in con.execute(
            "select sender, max_by(struct_pack(c := cost), since).c, max_by(currency, since) "
            "from prices group by sender"
        ).fetchall()
    }
    priced = {name for name, sender in workspace.senders.items() if sender.cost is not None}
    for name in sorted(known.keys() | priced):
        sender = workspace.senders.get(name)
        price = (sender.cost if sender else None, workspace.currency)
        if known.get(name) != price:
            con.execute("insert into prices values (?, ?, ?, ?)", [name, *price, now])
