"""The ledger file: creating it, opening it for one short transaction, copying it under its lock.

Belongs here: the connection, its lock, transactions, the copy for a refresh.
Does not: statements about leads, sends or events (`inbound.ingest`, `engine`).
"""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from pipeline.ledger.locks import LockBusy, hold_lock
from pipeline.settings import DripError, create_keys

SCHEMA_VERSION = "5"
_STRANGER_PAUSE = 0.05
# Below this size a second thread costs each statement more than it brings.
_SMALL_BYTES = 64 * 1024**2
_SCHEMA = Path(__file__).with_name("schema.sql")


class LedgerBusy(LockBusy):
    """Another process, outside our own lock, has the ledger's file open."""


class LedgerBroken(DripError):
    """The ledger's file cannot be read as a ledger."""


class LedgerFull(DripError):
    """The disk has no room for what was to be written; the transaction is undone."""


# DuckDB's words for a file that is not what it wrote.
_DAMAGE = (
    "Corrupt database",
    "Could not read enough bytes",
    "has been invalidated",
    "not a valid DuckDB",
    "replaying WAL",
)
_FULL = ("No space left", "File too large", "Disk quota exceeded")


def ledger_path(home: Path) -> Path:
    """Return where the ledger of a home is."""
    return home / "ledger.duckdb"


def create_ledger(home: Path) -> None:
    """Create home, keys and an empty ledger; an existing ledger is left as it is."""
    keys = create_keys(home)
    for folder in ("landing", "snapshots", "reports"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    with hold_lock(home / "ledger.lock"):
        path = ledger_path(home)
        if path.exists():
            return
        # Written beside and renamed, so that a crash leaves no half-made ledger.
        fresh = path.with_suffix(".fresh")
        fresh.unlink(missing_ok=True)
        with duckdb.connect(str(fresh)) as con:
            for statement in duckdb.extract_statements(_SCHEMA.read_text()):
                con.execute(statement)
            con.execute(
                "insert into meta values ('schema_version', ?), ('id_salt', ?)",
                [SCHEMA_VERSION, keys.salt],
            )
            con.execute("checkpoint")
        fresh.rename(path)


@contextmanager
def open_ledger(
    home: Path, *, read_only: bool = False, timeout: float = 10.0
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the ledger for one short piece of work; nobody else can while the block runs.

    Never hold it across network I/O. Inside the block do not open, hash or copy the file: closing
    any descriptor of it drops DuckDB's lock.

    Args:
        home: the workspace.
        read_only: open without the right to write.
        timeout: seconds to wait for the lock.

    Raises:
        LockBusy: still held after the timeout; the message names the holder's pid.
        LedgerBroken: the file is missing, damaged, no DuckDB file, or of another schema.
        LedgerFull: the disk is full; also raised out of the block.
    """
    path = ledger_path(home)
    if not path.exists():
        raise LedgerBroken(f"{path} does not exist. Run `drip init` to create the workspace.")
    until = time.monotonic() + timeout
    with hold_lock(home / "ledger.lock", timeout):
        con = _connect(path, until, timeout, read_only=read_only)
        try:
            # temp files stay inside the home; UTC everywhere (not settable at connect in 2.0)
            con.execute("set TimeZone = 'UTC'")
            con.execute("set preserve_insertion_order = false")
            if path.stat().st_size < _SMALL_BYTES:
                con.execute("set threads = 1")
            if not read_only:
                con.execute("set wal_autocheckpoint = '1GB'")
            _check_schema(con, path)
            _check_whole(con, path)
            yield con
        except duckdb.Error as error:
            explained = _explain(path, error)
            if explained is None:
                raise
            raise explained from error
        finally:
            con.close()


def _connect(
    path: Path, until: float, timeout: float, *, read_only: bool
) -> duckdb.DuckDBPyConnection:
    """Connect, waiting for a stranger (the DuckDB shell, say) that knows nothing of our lock."""
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only)
        except duckdb.Error as error:
            holder = re.search(r"Could not set lock.*?(?:\(PID (\d+)\)|$)", str(error), re.DOTALL)
            if holder is None:
                raise _explain(path, error) or LedgerBroken(
                    f"{path} cannot be opened: {_first_line(error)}"
                ) from None
            if time.monotonic() >= until:
                raise LedgerBusy(path, int(holder[1]) if holder[1] else None, timeout) from None
            time.sleep(_STRANGER_PAUSE)


def _explain(path: Path, error: duckdb.Error) -> DripError | None:
    """Return what a person can do about a damaged file or a full disk; None for other errors."""
    text = str(error)
    if any(words in text for words in _FULL):
        return LedgerFull(
            f"{path} cannot be written ({_first_line(error)}). Nothing of this step was kept and "
            "nothing is lost; free space on the disk, then run it again."
        )
    if any(words in text for words in _DAMAGE):
        return LedgerBroken(_damaged(path, _first_line(error)))
    return None


def _damaged(path: Path, reason: str) -> str:
    return (
        f"{path} is damaged ({reason}). Move it away together with {path.name}.wal, restore both "
        "from a backup, then run `drip tick`: landing is read again from the backup's offsets."
    )


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0].rstrip("!.")


def _check_schema(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        rows = con.execute("select value from meta where key = 'schema_version'").fetchall()
    except duckdb.CatalogException:
        raise LedgerBroken(
            f"{path} is a DuckDB file, but no ledger: it has no table `meta`. Move it away and "
            "restore the ledger from a backup, or point DRIP_HOME to the right folder."
        ) from None
    found = rows[0][0] if rows else "none"
    if found != SCHEMA_VERSION:
        raise LedgerBroken(
            f"{path} has schema {found}, this version reads {SCHEMA_VERSION}. "
            "Use the version that wrote it, or import its facts anew."
        )


def _check_whole(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Find a file that was cut off before a query does, or a refresh copies it."""
    used, block_bytes = con.execute(
        "select used_blocks, block_size from pragma_database_size()"
    ).fetchall()[0]
    held, wanted = path.stat().st_size, used * block_bytes
    if held < wanted:
        raise LedgerBroken(_damaged(path, f"it has {held:,} bytes of {wanted:,}"))


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit the block, or roll back everything when it raises."""
    con.execute("begin")
    try:
        yield
    except BaseException:
        # A damaged file has already ended the transaction; its own error is the one to tell.
        with suppress(duckdb.Error):
            con.execute("rollback")
        raise
    con.execute("commit")


def copy_ledger(home: Path, target: Path, timeout: float = 30.0) -> None:
    """Checkpoint the ledger and copy its file, under its lock.

    The copy is made by a child process: closing a descriptor of the file here would drop DuckDB's
    lock (feasibility.md A1). A file system with reflinks copies nothing.

    Raises:
        LockBusy, LedgerBroken: see `open_ledger`.
        DripError: the copy failed, for want of space most likely.
    """
    target.unlink(missing_ok=True)
    cp = shutil.which("cp") or "/bin/cp"
    with open_ledger(home, timeout=timeout) as con:
        con.execute("checkpoint")
        done = subprocess.run(
            [cp, "--reflink=auto", str(ledger_path(home)), str(target)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        target.unlink(missing_ok=True)
        raise DripError(f"The ledger could not be copied: {done.stderr.strip()}")
