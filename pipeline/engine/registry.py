"""What the ledger remembers of each sequence file: name, owner, when it came and when it changed.

Belongs here: the table `sequences`. Does not: versions (`programme`), the files (`sequences`).
"""

from collections.abc import Sequence
from datetime import datetime

import duckdb
import polars as pl

from pipeline.sequences.compiled import CompiledSequence

_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "sequence_id": pl.String,
    "name": pl.String,
    "owner": pl.String,
    "status": pl.String,
    "fingerprint": pl.String,
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
    updated_at = $now
from file_frame as f
where sequences.sequence_id = f.sequence_id and sequences.fingerprint != f.fingerprint
"""
_ADD = """
insert into sequences by name
select
    sequence_id, name, owner, owner as created_by, $now as created_at, $now as updated_at, status,
    fingerprint
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
        }
        for s in sequences
    ]
    con.register("file_frame", pl.DataFrame(rows, schema=_SCHEMA, orient="row"))
    con.execute(_FORGET, {"removed": REMOVED, "now": now})
    con.execute(_CHANGE, {"now": now})
    con.execute(_ADD, {"now": now})
    con.unregister("file_frame")
    return True
