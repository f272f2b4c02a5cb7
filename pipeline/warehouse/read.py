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
from pipeline.warehouse.paths import snapshot_paths, warehouse_path


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
        snapshot: an ISO week such as `2026-W47`, as its last refresh left it; without it the latest
            refresh.

    Raises:
        NothingPublished: no refresh has been published, or none in that week.
        DripError: the file is damaged.
    """
    with _attached({"warehouse": _published_path(home, snapshot)}) as con:
        yield con


@contextmanager
def open_beside(home: Path, snapshot: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published warehouse, and a week's snapshot of it as `past`.

    Raises:
        NothingPublished: no refresh has been published, or none in that week.
        DripError: a file is damaged.
    """
    paths = {"warehouse": _published_path(home, None), "past": _published_path(home, snapshot)}
    with _attached(paths) as con:
        yield con


@contextmanager
def _attached(paths: dict[str, Path]) -> Iterator[duckdb.DuckDBPyConnection]:
    con = duckdb.connect(":memory:")
    try:
        con.execute("set TimeZone = 'UTC'")
        for name, path in paths.items():
            _attach(con, path, name)
        con.execute("use warehouse")
        con.execute("set enable_external_access = false")
        con.execute("set lock_configuration = true")
        yield con
    finally:
        con.close()


def _published_path(home: Path, snapshot: str | None) -> Path:
    if snapshot is None:
        path = warehouse_path(home)
        if not path.exists():
            raise NothingPublished(f"Nothing is published yet in {home}. Run `drip refresh`.")
        return path
    weeks = snapshot_paths(home)
    if snapshot not in weeks:
        known = f"There are: {', '.join(weeks)}." if weeks else "There are none."
        raise NothingPublished(
            f"There is no snapshot {snapshot!r} in {home / 'snapshots'}. {known} "
            "A refresh keeps one for its ISO week, such as 2026-W47."
        )
    return weeks[snapshot]


def _attach(con: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    try:
        con.execute(f"attach $path as {name} (read_only)", {"path": str(path)})
    except duckdb.Error as error:
        raise DripError(
            f"{path} cannot be read: {str(error).splitlines()[0]} "
            "Run `drip refresh`, which builds it anew."
        ) from None


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
