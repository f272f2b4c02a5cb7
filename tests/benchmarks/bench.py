"""What every row of the benchmark is given: sizes, worlds made once, a place for copies.

Belongs here: making worlds in a child and copying them. Does not: what a row measures (`rows/`).
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.alone import run_alone
from tests.benchmarks.world import World, make_world


@dataclass
class Bench:
    """One run of the benchmark.

    Attributes:
        place: an empty folder for worlds; several times the size of the largest.
        count: running enrollments of the largest world; the smaller ones have 3/10 and 1/10.
        runs: alternating runs of which the median counts.
        say: tells people what goes on.
        steady_seconds: how long steps fall due one after another where lateness is measured.
    """

    place: Path
    count: int
    runs: int
    say: Callable[[str], None]
    steady_seconds: float = 120
    worlds: dict[int, Path] = field(default_factory=dict)

    def world(self, count: int) -> Path:
        """Return the folder of a world with so many running enrollments."""
        if count not in self.worlds:
            self.say(f"making a world of {count:,} running enrollments")
            place = self.place / f"world-{count}"
            place.mkdir()
            run_alone("tests.benchmarks.bench:make", str(place), count)
            self.worlds[count] = place
        return self.worlds[count]

    @contextmanager
    def copy(self, count: int) -> Iterator[Path]:
        """Give a copy of a world, for one run."""
        target = self.place / "copy"
        shutil.copytree(self.world(count), target)
        try:
            yield target
        finally:
            shutil.rmtree(target)

    def forget(self, count: int) -> None:
        """Remove a world that no row needs any more."""
        shutil.rmtree(self.worlds.pop(count))


def make(place: str, count: int) -> None:
    """Make a world, in a child."""
    make_world(Path(place), count)


def open_world(place: str, count: int) -> World:
    """Return the world that stands in a folder, its files read as from tick to tick."""
    world = World(Path(place) / "home", Path(place) / "sequences", count)
    world.load_files()
    return world
