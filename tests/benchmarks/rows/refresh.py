"""A whole refresh of half a year of sending, against its models as one SQL script.

Belongs here: both sides less the same of nothing, memory, lock, growth, reading what is published.
Does not: the history (`world`), the script (`floors.refresh`), the table.
"""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import linear_regression, median

import duckdb

from pipeline.analysis.refresh import refresh
from pipeline.ledger.store import ledger_path
from pipeline.warehouse.paths import warehouse_path
from pipeline.warehouse.read import open_warehouse
from tests.benchmarks.alone import run_alone
from tests.benchmarks.bench import Bench
from tests.benchmarks.floors.refresh import clear, run_script, write_script
from tests.benchmarks.table import Line
from tests.benchmarks.world import NOW, World, make_history

# Per enrollment, three messages.
EVENTS = 10
# Nothing has happened, but everybody is known who could be: every model has a row of each kind.
NOTHING = 20
MOST_RATIO = 1.5
MOST_GIB = 6
MOST_SECONDS_OF_NOTHING = 30
MOST_SECONDS_LOCKED = 2
MOST_SLOPE = 1.1
MOST_OVER_PARQUET = 3
GIGABYTE = 10**9
READS = 5
HERE = "tests.benchmarks.rows.refresh"


def measure(bench: Bench) -> Iterator[Line]:
    """Yield the lines of a refresh."""
    full = bench.count // EVENTS
    sizes = [full // 10, full * 3 // 10, full]
    nothing = _make(bench, NOTHING)
    ours: dict[int, list[dict[str, float]]] = {}
    peak = 0.0
    for size in sizes:  # the last one is read below
        place = _make(bench, size)
        ours[size] = []
        for _ in range(1 if size == full else min(2, bench.runs)):
            seconds, gib = run_alone(f"{HERE}:time_refresh", str(nothing), str(place), timeout=1800)
            ours[size].append(seconds)
            peak = max(peak, gib)
            told = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
            bench.say(f"refresh of {size:,} enrollments: {told}; {gib:.2f} GiB")
    floor, floor_peak = run_alone(f"{HERE}:time_floor", str(nothing), str(place), timeout=1800)
    bench.say(f"its models as one script: {floor:.1f} s, {floor_peak:.2f} GiB")
    seconds = {name: median(one[name] for one in ours[full]) for name in ours[full][0]}
    yield Line(
        f"refresh of {full * EVENTS:,} events",
        seconds["refresh"],
        floor,
        seconds["refresh"] / floor,
        MOST_RATIO,
        peak_gib=peak,
        floor_peak_gib=floor_peak,
    )
    yield Line("its peak memory", peak, floor_peak, peak, MOST_GIB, unit="GiB")
    yield Line(
        "a refresh of nothing, with dbt's start",
        seconds["nothing"],
        None,
        seconds["nothing"],
        MOST_SECONDS_OF_NOTHING,
    )
    size = ledger_path(place / "home").stat().st_size
    yield Line(
        f"locks its ledger of {size / GIGABYTE:.2f} GB",
        seconds["locked"],
        None,
        seconds["locked"],
        MOST_SECONDS_LOCKED if size < GIGABYTE else None,
    )
    # A small one may vanish beside the one of nothing.
    best = [max(0.1, min(one["refresh"] for one in ours[size])) for size in sizes]
    slope = linear_regression([math.log(n) for n in sizes], [math.log(s) for s in best]).slope
    yield Line("its growth over 1, 3, 10 times the rows", best[-1], best[0], slope, MOST_SLOPE)
    (mart, mine, parquet), _ = run_alone(f"{HERE}:time_reads", str(place))
    yield Line(
        f"reading the slowest mart, {mart}", mine, parquet, mine / parquet, MOST_OVER_PARQUET
    )


def _make(bench: Bench, count: int) -> Path:
    bench.say(f"making a history of {count:,} enrollments")
    place = bench.place / f"history-{count}"
    place.mkdir()
    run_alone(f"{HERE}:make", str(place), count)
    return place


def make(place: str, count: int) -> None:
    """Make a history, in a child."""
    make_history(Path(place), count)


def open_history(place: str) -> World:
    """Return the history that stands in a folder."""
    return World(Path(place) / "home", Path(place) / "sequences", 0)


def time_refresh(nothing: str, place: str) -> dict[str, float]:
    """Return the seconds of a refresh less one of nothing, and of its parts.

    The first refresh of the process loads dbt, parses the project and compiles it.
    """
    empty, world = open_history(nothing), open_history(place)
    cold, warm = (_time(partial(_refresh, empty)) for _ in range(2))
    began = time.perf_counter()
    steps = _refresh(world)
    whole = time.perf_counter() - began
    # The two steps that open the ledger: for longer than they hold it.
    locked = max(steps["copy"], steps["record"])
    return {"refresh": whole - warm, "nothing": cold, "warm": warm, "locked": locked, **steps}


def _refresh(world: World) -> dict[str, float]:
    workspace, _ = world.load_files()
    return refresh(world.home, world.settings, NOW, workspace=workspace).seconds


def time_floor(nothing: str, place: str) -> float:
    """Return the seconds of the script, less those on nothing."""
    seconds = []
    for world in (open_history(nothing), open_history(place)):
        script = write_script(world.home)
        clear(world)
        seconds.append(_time(partial(run_script, world, script)))
        clear(world)
    return seconds[1] - seconds[0]


def time_reads(place: str) -> tuple[str, float, float]:
    """Return the mart whose rows take longest to read, by what Parquet takes, and both seconds.

    Both sides open a connection of their own and give a frame, as a notebook's query does.
    """
    home = open_history(place).home
    folder = Path(place) / "parquet"
    folder.mkdir(exist_ok=True)
    with duckdb.connect(str(warehouse_path(home)), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        marts = [
            name
            for (name,) in con.execute(
                "select table_name from duckdb_tables() where schema_name = 'marts'"
            ).fetchall()
        ]
        for mart in marts:
            con.execute(f"copy marts.{mart} to '{folder / mart}.parquet'")

    found = []
    for mart in marts:
        parquet = folder / f"{mart}.parquet"
        mine = min(_time(partial(_read_published, home, mart)) for _ in range(READS))
        floor = min(_time(partial(_read_parquet, parquet)) for _ in range(READS))
        found.append((mine / floor, mart, mine, floor))
    return max(found)[1:]


def _read_published(home: Path, mart: str) -> None:
    with open_warehouse(home) as con:
        con.sql(f"from marts.{mart}").pl()


def _read_parquet(path: Path) -> None:
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.sql(f"from '{path}'").pl()


def _time(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
