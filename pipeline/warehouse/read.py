"""Reading what is published: open, query, close.

Belongs here: read-only access to warehouse.duckdb and to snapshots. Does not: writing anything.
Keep connections short: one that stays open goes on showing the refresh it was opened on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl

from pipeline.settings import DripError
from pipeline.warehouse.paths import warehouse_path


class NothingPublished(DripError):
    """There is no warehouse to read yet."""


class QueryFailed(DripError):
    """The SQL cannot be run on the published warehouse."""


@contextmanager
def open_warehouse(
    home: Path, *, snapshot: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published warehouse for reading; nothing outside it can be reached from there.

    The file is attached to an empty database: a second connection of this process then sees the
    newest refresh even while the first still reads an older one (feasibility.md A2), and a snapshot
    answers to the same names.

    Args:
        home: the workspace.
        snapshot: an ISO week such as `2026-W47`; without it the latest refresh.

    Raises:
        NothingPublished: no refresh has been published, or there is no such snapshot.
        DripError: the file is damaged.
    """
    path = home / "snapshots" / f"{snapshot}.duckdb" if snapshot else warehouse_path(home)
    if not path.exists():
        what = f"There is no snapshot {snapshot}" if snapshot else "Nothing is published yet"
        raise NothingPublished(f"{what} in {home}. Run `drip refresh`.")
    con = duckdb.connect(":memory:")
    try:
        _attach(con, path)
        yield con
    finally:
        con.close()


def _attach(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    con.execute("set TimeZone = 'UTC'")
    try:
        con.execute("attach $path as warehouse (read_only)", {"path": str(path)})
    except duckdb.Error as error:
        raise DripError(
            f"{path} cannot be read: {str(error).splitlines()[0]} "
            "Run `drip refresh`, which builds it anew."
        ) from None
    con.execute("use warehouse")
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")


def query(home: Path, sql: str, *, snapshot: str | None = None) -> pl.DataFrame:
    """Run one query on the published warehouse and return its rows.

    Raises:
        NothingPublished: there is nothing to read.
        QueryFailed: the SQL is wrong, or asks for more than reading the warehouse.
    """
    with open_warehouse(home, snapshot=snapshot) as con:
        try:
            relation = con.sql(sql)
            rows: pl.DataFrame = pl.DataFrame() if relation is None else relation.pl()
        except duckdb.Error as error:
            raise QueryFailed(
                f"{error} `drip query 'show all tables'` lists what there is."
            ) from None
    return rows


def published_at(home: Path) -> datetime | None:
    """Return the moment of the facts in the published warehouse; None before the first refresh."""
    try:
        rows = query(home, "select refreshed_at from meta.refresh")
    except NothingPublished:
        return None
    moment: datetime = rows.item()
    return moment
