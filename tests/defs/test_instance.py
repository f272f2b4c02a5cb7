from pathlib import Path

import dagster as dg
import pytest

from pipeline.defs.instance import POOLS, dagster_home, fail_dead_runs, prepare_instance
from pipeline.defs.ledger import tick_job
from pipeline.defs.reports import weekly_review_job
from pipeline.defs.warehouse import refresh_job


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


def test_a_killed_refresh_begins_anew_once_and_a_tick_waits_for_its_sensor(tmp_path: Path) -> None:
    with dg.DagsterInstance.from_config(str(prepare_instance(tmp_path))) as instance:
        is_retried = {}
        for job in (refresh_job, weekly_review_job, tick_job):
            run = dg.DagsterRun(
                job_name=job.name, status=dg.DagsterRunStatus.STARTED, tags=job.tags or {}
            )
            dead = instance.add_run(run)
            fail_dead_runs(instance)
            [found] = instance.get_runs(filters=dg.RunsFilter(run_ids=[dead.run_id]))
            is_retried[job.name] = found.tags["dagster/will_retry"]
        assert is_retried == {
            "refresh_job": "true",
            "weekly_review_job": "true",
            "tick_job": "false",
        }
        # What a run has made goes with it.
        assert (refresh_job.tags or {})["dagster/retry_strategy"] == "ALL_STEPS"
