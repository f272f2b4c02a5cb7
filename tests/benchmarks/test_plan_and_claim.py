"""The benchmark of planning measures what it says: both sides write the same, and so does the script."""

import shutil

import pytest

from pipeline.ledger.store import ledger_path, open_ledger
from tests.benchmarks.__main__ import run_rows
from tests.benchmarks.floors.row_by_row import run_script
from tests.benchmarks.rows.plan_and_claim import WRITTEN, time_side
from tests.benchmarks.world import World, make_world

SMALL = 20_000
SIDES = ("engine", "floor", "script")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """The same world after the engine's pass, after the floor's, and in the hands of the script."""
    place = tmp_path_factory.mktemp("worlds")
    engine = make_world(place / "engine", SMALL, due_share=0.5)
    for side in SIDES[1:]:
        shutil.copytree(place / "engine", place / side)
    for side in SIDES[:2]:
        time_side(side, str(place / side), SMALL)
    return {side: World(place / side / "home", engine.folder, SMALL) for side in SIDES}


@pytest.mark.parametrize("table", WRITTEN)
def test_the_floor_writes_the_rows_of_the_engine(worlds, table):
    engine, floor = worlds["engine"], worlds["floor"]
    columns = f"* {WRITTEN[table]}"
    with open_ledger(engine.home) as con:
        con.execute(f"attach '{ledger_path(floor.home)}' as hand (read_only)")
        ours, missing, extra = con.execute(
            f"""
            select
                (select count(*) from {table}),
                (select count(*) from (
                    select {columns} from {table} except all select {columns} from hand.{table}
                )),
                (select count(*) from (
                    select {columns} from hand.{table} except all select {columns} from {table}
                ))
            """
        ).fetchall()[0]
        assert ours > 0
        assert (missing, extra) == (0, 0)


def test_the_world_holds_everything_that_can_become_of_a_step(worlds):
    with open_ledger(worlds["engine"].home) as con:
        outcomes = {
            (outcome, reason)
            for outcome, reason in con.execute(
                "select distinct outcome, reason from why"
            ).fetchall()
        }
    skips = ("late", "condition", "unsubscribed", "bounced", "no_address", "lead_cap")
    assert outcomes == {
        ("claimed", None),
        ("held_out", "holdout"),
        ("postponed", "window"),
        ("postponed", "sequence_cap"),
        *(("skipped", reason) for reason in skips),
    }


def test_the_script_row_by_row_decides_as_the_engine_does(worlds):
    with open_ledger(worlds["script"].home) as con:
        assert run_script(con, worlds["script"], 300) == 300
        con.execute(f"attach '{ledger_path(worlds['engine'].home)}' as engine (read_only)")
        # Caps apart, whose order needs everybody at once.
        compared, different = con.execute(
            """
            select
                count(*),
                count(*) filter (where (s.outcome, s.reason, s.until_at) is distinct from (e.outcome, e.reason, e.until_at))
            from why as s
            left join engine.why as e using (enrollment_id)
            where 'sequence_cap' not in (coalesce(s.reason, ''), coalesce(e.reason, ''))
            """
        ).fetchall()[0]
    assert compared > 200
    assert different == 0


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_planning_keeps_its_targets_at_three_million_enrollments(tmp_path):
    rows = ["plan_and_claim", "idle_tick"]
    lines = run_rows(tmp_path, count=3_000_000, runs=5, say=print, only=rows)
    (ratio,) = (line for line in lines if line.what.startswith("plan and claim"))
    lines.remove(ratio)
    assert {line.target for line in lines} == {None, 0.2, 1.1, 4, 100}
    assert [line for line in lines if not line.is_met] == []
    # Its target is one of ten million enrollments, which `make bench` measures; five short runs on
    # two cores tremble by a tenth. This only finds what makes it much worse.
    assert (ratio.target, ratio.value < 2) == (1.5, True)
