"""Makes the audited file public, in one rename, and keeps one copy a week.

Belongs here: checkpoint, rename, snapshots. Does not: whether it may be published (`audit`).
"""

import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import duckdb

from pipeline.settings import DripError
from pipeline.warehouse.paths import next_path, snapshot_path, warehouse_path
from pipeline.warehouse.results import AuditFailed


def publish_warehouse(home: Path, now: datetime, refresh_id: str, *, timezone: str) -> Path:
    """Replace the published file by the audited one and copy it as the week's snapshot.

    Whoever has the old file open goes on reading it, whole.

    Raises:
        AuditFailed: the file was not audited, or is of another refresh.
    """
    path = next_path(home)
    _check_audited(path, refresh_id)
    _seal(path)
    published = warehouse_path(home)
    path.replace(published)
    _sync(home)
    _keep_snapshot(published, snapshot_path(home, now, timezone))
    return published


def _check_audited(path: Path, refresh_id: str) -> None:
    if not path.exists():
        raise AuditFailed(f"{path} does not exist. Run `drip refresh`.")
    with duckdb.connect(str(path)) as con:
        audited = con.execute(
            "select refresh_id from meta.refresh where audited_at is not null"
        ).fetchall()
        con.execute("checkpoint")
    if audited != [(refresh_id,)]:
        raise AuditFailed("The new warehouse was not audited by this refresh. Run `drip refresh`.")


def _seal(path: Path) -> None:
    """Make sure that the whole database is in its one file and on disk."""
    if path.with_name(path.name + ".wal").exists():
        raise AuditFailed(f"{path} still has a write-ahead log after its checkpoint.")
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep_snapshot(published: Path, snapshot: Path) -> None:
    fresh = snapshot.with_suffix(".fresh")
    cp = shutil.which("cp") or "/bin/cp"
    try:
        snapshot.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [cp, "--reflink=auto", str(published), str(fresh)],
            capture_output=True,
            text=True,
            check=True,
        )
        fresh.replace(snapshot)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        raise DripError(
            f"{published} is published, but the week's copy {snapshot} could not be written: "
            f"{reason.strip()}. Mend that, then run `drip refresh`."
        ) from None
