"""Drawing the ledger's serial numbers, many at once.

Belongs here: reserving numbers of a sequence. Does not: what is numbered.
"""

from typing import Literal, get_args

import duckdb

from pipeline.ledger.statements import fetch_value

Serial = Literal["change_numbers", "enrollment_ids", "rejected_ids", "send_ids", "version_ids"]

# Names are part of the statement: DuckDB binds none. Row by row, `nextval` is a lock for each row.
_DRAW = {
    name: (f"select nextval('{name}')", f"select setval('{name}', $last)")
    for name in get_args(Serial)
}


def draw_numbers(con: duckdb.DuckDBPyConnection, serial: Serial, count: int) -> int:
    """Reserve the next `count` numbers and return the first; with none asked for, 0.

    The ledger has one writer, so they are contiguous. Numbers of a transaction that is rolled back
    are gone: a serial has gaps, and never the same number twice.
    """
    if count == 0:
        return 0
    draw, move = _DRAW[serial]
    first = int(fetch_value(con, draw))
    if count > 1:
        fetch_value(con, move, {"last": first + count - 1})
    return first
