"""Weights of arms that follow the results (`allocation: thompson`), as the refresh publishes them.

Belongs here: reading `analysis.arm_weights` of the published warehouse, and the least share of an
arm. Does not: how weights come about (`analysis`), the draw (`assignment`).

The table has one row per experiment and arm: experiment_id, arm, weight (0 to 1, of one experiment
sum 1), computed_at. A tick never waits for it and never fails for it: without a usable row for each
arm the arms are equal.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import duckdb

from pipeline.settings import DripError
from pipeline.warehouse.paths import warehouse_path
from pipeline.warehouse.read import open_warehouse

LEAST_SHARE = 0.05
"""Every arm goes on being drawn, so that it can still be learned about, and no probability is 0."""

_SQL = """
select experiment_id, arm, max_by(weight, computed_at)
from analysis.arm_weights
group by experiment_id, arm
"""

Weights = Mapping[str, Mapping[str, float]]


def read_arm_weights(home: Path) -> Weights:
    """Return the published weights, by experiment and arm; empty when there are none.

    The file is read once per refresh: it is replaced whole, and known again by its inode.
    """
    try:
        found = warehouse_path(home).stat()
    except OSError:
        return {}
    return _read(home, (found.st_ino, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=4)
def _read(home: Path, file: tuple[int, int, int]) -> Weights:
    weights: dict[str, dict[str, float]] = {}
    try:
        with open_warehouse(home) as con:
            for experiment_id, arm, weight in con.execute(_SQL).fetchall():
                weights.setdefault(experiment_id, {})[arm] = weight
    except (DripError, duckdb.Error):
        # A file without the table, or one that cannot be read at all: `drip refresh` tells of it.
        return {}
    return weights


def choose_weights(arms: Sequence[str], published: Mapping[str, float] | None) -> list[float]:
    """Return the probability of each arm: the published weight, but never below the least share.

    Weights that are no distribution over exactly these arms count as none: then all are equal.
    """
    equal = [1 / len(arms)] * len(arms)
    if published is None or set(published) != set(arms):
        return equal
    weights = [published[arm] for arm in arms]
    if any(weight is None or not math.isfinite(weight) or weight < 0 for weight in weights):
        return equal
    return _lift(weights) if sum(weights) > 0 else equal


def _lift(weights: list[float]) -> list[float]:
    """Raise what is below the least share to it, and take the rest off the others in proportion."""
    low: set[int] = set()
    while True:
        rest = sum(weight for place, weight in enumerate(weights) if place not in low)
        room = 1 - LEAST_SHARE * len(low)
        shares = [
            LEAST_SHARE if place in low else weight * room / rest
            for place, weight in enumerate(weights)
        ]
        below = {place for place, share in enumerate(shares) if share < LEAST_SHARE} - low
        if not below:
            return shares
        low |= below
