"""Scores of the hours of a day, as the refresh publishes them.

Belongs here: reading `analysis.send_times` of the published warehouse, and the probability of each
open block of a day. Does not: how scores come about (`analysis`), which blocks are open and the
draw (`preferred_hours`).

One row per sequence, weekday (0 = Monday) and block of four hours (0 = 00:00 to 04:00). A tick
never waits for it and never fails for it: nothing usable published = no preference.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import duckdb

from pipeline.settings import DripError
from pipeline.warehouse.paths import warehouse_path
from pipeline.warehouse.read import open_warehouse

EXPLORED = 0.15
"""This share of the messages is spread evenly over the open blocks, so that each can be judged."""
BLOCK_HOURS = 4
BLOCKS = 24 // BLOCK_HOURS

_SQL = """
select sequence_id, weekday, block, max_by(score, computed_at), max(computed_at)
from analysis.send_times
group by sequence_id, weekday, block
"""


@dataclass(frozen=True)
class HourScores:
    """The scores of one sequence, by weekday and block, and the moment of their facts."""

    scored_at: datetime
    scores: Mapping[tuple[int, int], float]


Scores = Mapping[str, HourScores]


def read_hour_scores(home: Path, asking: Collection[str]) -> Scores:
    """Return the published scores of the sequences that ask for them; empty when there are none.

    The file is read once per refresh: it is replaced whole, and known again by its inode.
    """
    try:
        found = warehouse_path(home).stat()
    except OSError:
        return {}
    published = _read(home, (found.st_ino, found.st_mtime_ns, found.st_size))
    return {name: scores for name, scores in published.items() if name in asking}


@lru_cache(maxsize=4)
def _read(home: Path, file: tuple[int, int, int]) -> Scores:
    scores: dict[str, dict[tuple[int, int], float]] = {}
    moments: dict[str, datetime] = {}
    try:
        with open_warehouse(home) as con:
            for sequence_id, weekday, block, score, scored_at in con.execute(_SQL).fetchall():
                scores.setdefault(sequence_id, {})[weekday, block] = score
                moments[sequence_id] = max(scored_at, moments.get(sequence_id, scored_at))
    except (DripError, duckdb.Error):
        # A file without the table, or one that cannot be read at all: `drip refresh` tells of it.
        return {}
    return {name: HourScores(moments[name], known) for name, known in scores.items()}


def weigh_blocks(
    published: HourScores, weekday: int, blocks: Sequence[int]
) -> dict[int, float] | None:
    """Return the probability of each open block of a day; None = no preference.

    The block with the highest score (of two, the earlier) gets what is not explored. One block is
    no choice, and a day on which an open block has no usable score has no preference.
    """
    scores = [published.scores.get((weekday, block)) for block in blocks]
    known = [score for score in scores if score is not None and math.isfinite(score)]
    if len(blocks) < 2 or len(known) < len(blocks):  # noqa: PLR2004 - two are a choice
        return None
    best = blocks[known.index(max(known))]
    even = EXPLORED / len(blocks)
    return {block: even + (1 - EXPLORED if block == best else 0.0) for block in blocks}
