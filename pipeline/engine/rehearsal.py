"""Rehearsing: the real tick on a private ledger, with a virtual clock and nobody at the other end.

Belongs here: the private home, the stepping clock, the dispatcher that is answered at once.
Does not: what is asked of a rehearsal (`forecast`, `replay`), any rule of the engine.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from pipeline.engine.tick import Run, TickReport
from pipeline.ledger.store import (
    copy_ledger,
    create_ledger,
    ledger_path,
    open_ledger,
    transaction,
)
from pipeline.sequences.compiled import CompiledSequence
from pipeline.sequences.model import Workspace
from pipeline.settings import Keys, Settings, create_keys, load_keys
from pipeline.warehouse.paths import warehouse_path

# A pass costs some fifty milliseconds: a quarter of an hour keeps two weeks within a minute.
SLOT = timedelta(minutes=15)
_SHORTEST_SLOT = timedelta(seconds=1)
_EVERYTHING = 2**31 - 1

_NO_EVENTS = "create or replace temp table new_events as from events limit 0"
_NO_BLOCKS = "create or replace temp table new_blocks (lead_id bigint, blocked_at timestamptz)"
_TAKEN = """
create or replace temp table answers as
select
    send_id,
    'handed_over' as status,
    $now::timestamptz as settled_at,
    attempt,
    null::varchar as reason,
    null::varchar as message_id
from chunk
"""


@dataclass(frozen=True)
class Stage:
    """A private home with its open ledger; `keys` are the real ones, so every draw is the same."""

    home: Path
    keys: Keys
    con: duckdb.DuckDBPyConnection


class Rehearsal(Run):
    """A run of ticks on a private ledger: nothing lands, and every message is taken at once.

    The statements are those of `tick`, so whatever a tick learns to do, a rehearsal does as well.
    """

    chunk_size = _EVERYTHING

    def __init__(
        self,
        stage: Stage,
        settings: Settings,
        workspace: Workspace,
        sequences: Sequence[CompiledSequence],
    ) -> None:
        """Prepare a run on a private home."""
        self.con = stage.con
        self._moment = datetime.min.replace(tzinfo=UTC)
        super().__init__(
            settings.model_copy(update={"home": stage.home}),
            stage.keys,
            workspace,
            tuple(sequences),
            lambda: self._moment,
            TickReport(is_dispatcher=True),
        )

    def bring(self, con: duckdb.DuckDBPyConnection, now: datetime) -> bool:
        """Bring nothing: nobody reacts, no lead comes."""
        con.execute(_NO_EVENTS)
        con.execute(_NO_BLOCKS)
        return False

    def read_answers(self, con: duckdb.DuckDBPyConnection, now: datetime) -> int:
        """Answer the last chunk: every message is taken at once."""
        if self.count_chunk:
            con.execute(_TAKEN, {"now": now})
        return self.count_chunk

    def tick_at(self, now: datetime) -> datetime | None:
        """Tick once, as `tick` would at that moment; return when something is due next."""
        self._moment = now
        while True:
            with transaction(self.con):
                self.decide(self.con)
            if not self.count_chunk and not self.has_withdrawn:
                return self.report.next_at

    def run_until(
        self,
        start: datetime,
        end: datetime,
        slot: timedelta,
        progress: Callable[[datetime], None] = lambda moment: None,
    ) -> list[datetime]:
        """Tick at `start` and whenever something is due until `end`, at most once a slot.

        Returns the moments of the ticks.
        """
        moments = []
        moment: datetime | None = start
        while moment is not None and moment < end:
            moments.append(moment)
            due = self.tick_at(moment)
            progress(moment)
            moment = None if due is None else max(due, moment + max(slot, _SHORTEST_SLOT))
        return moments


def _link_published(home: Path, folder: Path) -> None:
    """Give the private home the scores and weights of the last refresh, whatever comes after it."""
    with suppress(FileNotFoundError):
        try:
            os.link(warehouse_path(home), warehouse_path(folder))
        except PermissionError:
            # Not every file system has links; nothing writes to what is published.
            shutil.copyfile(warehouse_path(home), warehouse_path(folder))


@contextmanager
def open_private(home: Path, memory_limit: str, *, copy: bool) -> Iterator[Stage]:
    """Open a private home inside the home, and remove it afterwards whatever happens.

    Inside, because a copy of the ledger holds personal data, and because a file system with
    reflinks copies nothing within itself. The ledger's lock is held for the copy only.

    Args:
        home: the workspace.
        memory_limit: of the private ledger's connection.
        copy: begin with a copy of the ledger; else with an empty one.

    Raises:
        DripError: no ledger, a busy one, no room for the copy.
    """
    keys = load_keys(home)
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-", dir=home))
    try:
        create_keys(folder, keys)
        if copy:
            copy_ledger(home, ledger_path(folder))
        else:
            create_ledger(folder)
        _link_published(home, folder)
        with open_ledger(folder) as con:
            con.execute("set memory_limit = ?", [memory_limit])
            yield Stage(folder, keys, con)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def choose_slot(sequences: Sequence[CompiledSequence], slot: timedelta = SLOT) -> timedelta:
    """Return how far apart ticks may be without missing a window or making a step late.

    >>> choose_slot([]) == SLOT
    True
    """
    late = [
        timedelta(seconds=step.late.after_seconds)
        for sequence in sequences
        for step in sequence.steps
        if step.late.then == "skip"
    ]
    open_times = [
        timedelta(minutes=closes - opens)
        for sequence in sequences
        for opens, closes in sequence.calendar.windows
    ]
    return max(_SHORTEST_SLOT, min([slot, *late, *open_times]))
