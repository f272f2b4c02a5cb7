from pathlib import Path

import dagster as dg
import pytest

from pipeline.defs.instance import POOLS, dagster_home, fail_dead_runs, prepare_instance


def test_a_fresh_home_has_its_pools_limited_before_the_first_run(tmp_path: Path) -> None:
    folder = prepare_instance(tmp_path)
    assert folder == dagster_home(tmp_path)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        limits = {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}
        assert limits == dict.fromkeys(POOLS, 1)
        assert instance.telemetry_enabled is False


def test_the_workspace_file_names_both_locations_and_no_folder(tmp_path: Path) -> None:
    text = (prepare_instance(tmp_path) / "workspace.yaml").read_text()
    assert "location_name: ticks" in text
    assert "location_name: refresh" in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
def test_runs_that_died_with_the_last_start_are_marked_as_failed(
    status: dg.DagsterRunStatus,
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        dead = instance.add_run(dg.DagsterRun(job_name="tick_job", status=status))
        done = instance.add_run(
            dg.DagsterRun(job_name="tick_job", status=dg.DagsterRunStatus.SUCCESS)
        )
        assert fail_dead_runs(instance) == 1
        statuses = {run.run_id: run.status for run in instance.get_runs()}
        assert statuses[dead.run_id] == dg.DagsterRunStatus.FAILURE
        assert statuses[done.run_id] == dg.DagsterRunStatus.SUCCESS
        assert fail_dead_runs(instance) == 0
