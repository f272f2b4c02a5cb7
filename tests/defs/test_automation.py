from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.definitions import assemble_ticks
from pipeline.defs.automation import (
    UNFINISHED,
    due_sends_sensor,
    old_tick_runs_sensor,
    refresh_schedule,
)
from pipeline.settings import Settings

Look = Callable[[], dg.RunRequest | dg.SkipReason]


def add_run(instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus) -> None:
    instance.add_run(dg.DagsterRun(job_name=job, status=status))


@pytest.fixture
def look(instance: dg.DagsterInstance, settings: Settings, clock: Any) -> Look:
    """One evaluation of the sensor."""

    def evaluate() -> dg.RunRequest | dg.SkipReason:
        context = dg.build_sensor_context(
            instance=instance, resources={"settings": settings, "clock": clock}
        )
        found = due_sends_sensor(context)
        assert isinstance(found, dg.RunRequest | dg.SkipReason)
        return found

    return evaluate


@pytest.fixture
def run(
    instance: dg.DagsterInstance, settings: Settings, clock: Any
) -> Callable[[], dg.ExecuteInProcessResult]:
    """One run of the job that the sensor asks for."""
    job = assemble_ticks(settings, clock).resolve_job_def("tick_job")
    return lambda: job.execute_in_process(instance=instance, raise_on_error=False)


def test_the_sensor_asks_for_the_first_tick_and_then_waits_until_something_is_due(
    look: Look, run: Callable[[], Any], clock: Any
) -> None:
    first = look()
    assert isinstance(first, dg.RunRequest)
    assert first.run_key is None
    assert run().success

    waiting = look()
    assert isinstance(waiting, dg.SkipReason)
    assert "Nothing is due before" in str(waiting.skip_message)

    clock.sleep(2 * 86400)
    assert isinstance(look(), dg.RunRequest)
    assert run().success
    assert isinstance(look(), dg.SkipReason)


def test_the_sensor_asks_when_something_has_landed(
    look: Look, run: Callable[[], Any], land: Callable[[str], None]
) -> None:
    assert run().success
    land("bob@example.com")
    found = look()
    assert isinstance(found, dg.RunRequest)
    assert found.tags["reason"] == "something has landed"


def test_a_queued_run_counts_as_unfinished() -> None:
    assert dg.DagsterRunStatus.QUEUED in UNFINISHED


@pytest.mark.parametrize(
    "status", [status for status in UNFINISHED if status != dg.DagsterRunStatus.QUEUED]
)
def test_the_sensor_asks_for_nothing_while_a_tick_run_is_alive(
    instance: dg.DagsterInstance, look: Look, status: dg.DagsterRunStatus
) -> None:
    assert isinstance(look(), dg.RunRequest)
    add_run(instance, "tick_job", status)
    found = look()
    assert isinstance(found, dg.SkipReason)
    assert status.value.lower() in str(found.skip_message)


def test_the_sensor_ignores_runs_of_other_jobs(instance: dg.DagsterInstance, look: Look) -> None:
    add_run(instance, "refresh_job", dg.DagsterRunStatus.STARTED)
    assert isinstance(look(), dg.RunRequest)


def test_after_a_failed_run_the_sensor_waits_a_minute_and_asks_again(
    look: Look, run: Callable[[], Any], settings: Settings, clock: Any
) -> None:
    (settings.sequences / "welcome.yml").write_text("status: sometimes\n")
    assert not run().success
    found = look()
    assert isinstance(found, dg.SkipReason)
    assert "failed" in str(found.skip_message)
    clock.sleep(61)
    assert isinstance(look(), dg.RunRequest)


def test_the_sensor_never_waits_for_the_ledger(look: Look, settings: Settings) -> None:
    (settings.home / "ledger.duckdb").unlink()
    assert isinstance(look(), dg.RunRequest)


def test_the_refresh_schedule_asks_every_quarter_of_an_hour_unless_one_is_at_work(
    tmp_path: Path,
) -> None:
    assert refresh_schedule.cron_schedule == "*/15 * * * *"
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        context = dg.build_schedule_context(instance=instance)
        add_run(instance, "tick_job", dg.DagsterRunStatus.STARTED)
        assert isinstance(refresh_schedule(context), dg.RunRequest)
        add_run(instance, "refresh_job", dg.DagsterRunStatus.STARTED)
        assert isinstance(refresh_schedule(context), dg.SkipReason)


def test_tick_runs_are_forgotten_after_a_week_and_nothing_else_is(
    instance: dg.DagsterInstance, clock: Any
) -> None:
    add_run(instance, "tick_job", dg.DagsterRunStatus.SUCCESS)
    add_run(instance, "tick_job", dg.DagsterRunStatus.FAILURE)
    add_run(instance, "tick_job", dg.DagsterRunStatus.STARTED)
    add_run(instance, "refresh_job", dg.DagsterRunStatus.SUCCESS)

    def forget() -> str:
        context = dg.build_sensor_context(instance=instance, resources={"clock": clock})
        found = old_tick_runs_sensor(context)
        assert isinstance(found, dg.SkipReason)
        return str(found.skip_message)

    clock.sleep(6.9 * 86400)
    assert forget().startswith("0 ")
    assert len(instance.get_runs()) == 4
    clock.sleep(0.2 * 86400)
    assert forget().startswith("2 ")
    left = {(run.job_name, run.status) for run in instance.get_runs()}
    assert left == {
        ("tick_job", dg.DagsterRunStatus.STARTED),
        ("refresh_job", dg.DagsterRunStatus.SUCCESS),
    }
