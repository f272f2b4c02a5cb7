"""Steps go out on time while they fall due as fast as 100,000 in an hour, and a refresh runs beside."""

import pytest

from tests.benchmarks.__main__ import run_rows


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_steps_go_out_on_time_through_the_loop_and_through_dagster(tmp_path):
    lines = run_rows(tmp_path, count=0, runs=1, say=print, steady_seconds=100, only=["lateness"])
    assert len(lines) == 3
    assert [line for line in lines if not line.is_met] == []
