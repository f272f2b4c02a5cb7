"""`make bench`: every row of the benchmark, one table, one JSON file.

Belongs here: options, order, output. Does not: measuring; each module in `rows/` gives its lines.
"""

import argparse
import importlib
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
from rich.console import Console

from tests.benchmarks.bench import Bench
from tests.benchmarks.table import Line, show, write_json

ROWS = Path(__file__).with_name("rows")
FULL = 10_000_000


def run_rows(
    place: Path,
    *,
    count: int,
    runs: int,
    say: Callable[[str], None],
    steady_seconds: float = 120,
    only: Sequence[str] = (),
) -> list[Line]:
    """Run the modules in `rows/`, each of which yields its lines.

    Args:
        place: a folder for worlds and their copies.
        count: running enrollments of the largest world.
        runs: alternating runs of which the median counts.
        say: gets what goes on, in words.
        steady_seconds: how long steps fall due one after another.
        only: names of modules; empty = all.
    """
    bench = Bench(place, count, runs, say, steady_seconds)
    lines: list[Line] = []
    for path in sorted(ROWS.glob("*.py")):
        if not only or path.stem in only:
            module = importlib.import_module(f"tests.benchmarks.rows.{path.stem}")
            lines += module.measure(bench)
    return lines


def main() -> int:
    """Parse, run, print, write; the exit code says whether every target was met."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--count", type=int, default=FULL, help="running enrollments at most")
    parser.add_argument("--runs", type=int, default=5, help="alternating runs; the median counts")
    parser.add_argument("--steady", type=float, default=600, help="seconds of steps falling due")
    parser.add_argument("--only", nargs="*", default=(), help="modules of tests/benchmarks/rows")
    parser.add_argument("--out", type=Path, default=Path("data/bench/bench.json"))
    parser.add_argument("--place", type=Path, help="where worlds are made; default: a temp folder")
    options = parser.parse_args()
    console = Console()
    # A table that is cut off says nothing.
    console.width = max(100, console.width)
    with tempfile.TemporaryDirectory(prefix="driplab-bench-", dir=options.place) as place:
        lines = run_rows(
            Path(place),
            count=options.count,
            runs=options.runs,
            say=lambda text: console.print(f"bench: {text}", highlight=False),
            steady_seconds=options.steady,
            only=options.only,
        )
    show(lines, console)
    conditions = {
        "count": options.count,
        "runs": options.runs,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
    }
    write_json(lines, conditions, options.out)
    console.print(f"written to {options.out}", highlight=False)
    return 0 if all(line.is_met for line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
