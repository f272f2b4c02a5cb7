from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.defs.reports import weekly_review, weekly_review_job, weekly_review_schedule
from pipeline.defs.warehouse import WEEKS
from pipeline.settings import DripError, Settings
from pipeline.warehouse.paths import name_week, snapshot_path, warehouse_path
from tests.published import publish


def review(
    instance: dg.DagsterInstance, settings: Settings, clock: Any, week: str
) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions(str(WEEKS.name), [week])
    return dg.materialize(
        [weekly_review],
        instance=instance,
        resources={"settings": settings, "clock": clock},
        partition_key=week,
        selection=[weekly_review],
    )


def test_without_anything_published_the_review_says_what_to_do(
    instance: dg.DagsterInstance, settings: Settings, clock: Any
) -> None:
    with pytest.raises(DripError, match="drip refresh"):
        review(instance, settings, clock, name_week(clock(), "UTC"))


def test_a_backfill_writes_the_review_of_an_earlier_week_as_it_ended(
    instance: dg.DagsterInstance, settings: Settings, clock: Any
) -> None:
    publish(settings.home)
    earlier = clock() - timedelta(days=14)
    kept = snapshot_path(settings.home, earlier, "UTC")
    kept.parent.mkdir(exist_ok=True)
    warehouse_path(settings.home).replace(kept)

    result = review(instance, settings, clock, kept.stem)

    [shown] = result.asset_materializations_for_node("reports__weekly_review")
    path = Path(str(shown.metadata["path"].value))
    assert path.name == f"{kept.stem}.html"
    assert path.stat().st_size == shown.metadata["bytes"].value
    with pytest.raises(DripError, match="There is no snapshot"):
        review(instance, settings, clock, name_week(clock() - timedelta(days=7), "UTC"))


def test_on_monday_morning_the_workspaces_own_week_is_asked_for(tmp_path: Path) -> None:
    schedule = weekly_review_schedule("Asia/Kolkata")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 7 * * 1", "Asia/Kolkata")
    monday = datetime(2026, 3, 29, 20, 30, tzinfo=UTC)  # 02:00 on Monday there
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        repository = dg.Definitions(
            assets=[weekly_review],
            schedules=[schedule],
            resources={"settings": None, "clock": None},
        ).get_repository_def()
        with dg.build_schedule_context(instance, monday, repository_def=repository) as context:
            requests = schedule.evaluate_tick(context).run_requests
        assert requests is not None
        assert [request.partition_key for request in requests] == ["2026-W14"]
        assert instance.get_dynamic_partitions(str(WEEKS.name)) == ["2026-W14"]
    assert weekly_review_job.name == schedule.job_name
