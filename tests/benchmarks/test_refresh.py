"""The benchmark of a refresh measures what it says, and finds what makes a refresh much worse."""

import duckdb
import pytest

from pipeline.warehouse.paths import warehouse_path
from tests.benchmarks.alone import run_alone
from tests.benchmarks.floors.refresh import clear, run_script, write_script
from tests.benchmarks.rows.refresh import HERE, NOTHING, make, open_history, time_reads

SMALL = 20_000
ROWS = """
    select schema_name || '.' || table_name from duckdb_tables()
    where database_name = $name and schema_name in ('intermediate', 'marts')
    order by 1
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A history after a refresh, with what was measured of it."""
    places = [str(tmp_path_factory.mktemp(name)) for name in ("nothing", "history")]
    for place, count in zip(places, (NOTHING, SMALL), strict=True):
        make(place, count)
    seconds, peak = run_alone(f"{HERE}:time_refresh", *places)
    floor, floor_peak = run_alone(f"{HERE}:time_floor", *places)
    return places[1], seconds, peak, floor, floor_peak


def _print(con: duckdb.DuckDBPyConnection, table: str) -> tuple[int, int]:
    """Count and hash the rows; the last digits of a double depend on the order of its addends."""
    described = con.execute("describe from query_table($name)", {"name": table}).fetchall()
    columns = [
        f"printf('%.9g', {name})" if kind == "DOUBLE" else name for name, kind, *_ in described
    ]
    return con.execute(
        f"select count(*), bit_xor(hash({', '.join(columns)})) from query_table($name)",
        {"name": table},
    ).fetchall()[0]


@pytest.mark.prove
@pytest.mark.timeout(400)
def test_the_script_fills_every_table_with_the_rows_of_the_refresh(measured):
    world = open_history(measured[0])
    path = run_script(world, write_script(world.home))
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute("attach $path as hand (read_only)", {"path": str(path)})
        con.execute("attach $path as ours (read_only)", {"path": str(warehouse_path(world.home))})
        names = [name for (name,) in con.execute(ROWS, {"name": "ours"}).fetchall()]
        assert [name for (name,) in con.execute(ROWS, {"name": "hand"}).fetchall()] == names
        for name in names:
            mine, floor = (_print(con, f"{side}.{name}") for side in ("ours", "hand"))
            assert mine == floor, name
    clear(world)
    assert len(names) > 40


@pytest.mark.prove
@pytest.mark.timeout(400)
def test_a_refresh_costs_little_more_than_its_models(measured):
    place, seconds, peak, floor, _ = measured
    # The targets are those of ten million events, which `make bench` measures; with as few the
    # fixed costs of 150 statements weigh most. These find what makes it much worse.
    assert seconds["refresh"] < 4 * floor
    assert seconds["nothing"] < 60
    assert seconds["locked"] < 2
    assert peak < 1.5
    _, mine, parquet = time_reads(place)
    assert mine < 6 * parquet
