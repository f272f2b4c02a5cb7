"""What starts runs by itself: the sensor for ticks, the schedule for refreshes.

Belongs here: when Dagster asks for which job, how long it remembers ticks. Does not: why a tick is
worth while (`ticking`), jobs (beside their assets). Nothing here may import dbt.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from pipeline.defs.ledger import SENDS, Clock, tick_job
from pipeline.defs.ticking import BACK_OFF, LastTick, reason_to_tick
from pipeline.settings import Settings

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
# Ticks come by the thousand a week; what they did stands in the ledger.
KEPT_TICK_RUNS = timedelta(days=7)
# So that one evaluation stays within seconds; the next takes on.
MOST_DELETED = 500


@dg.sensor(
    job=tick_job,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def due_sends_sensor(
    context: dg.SensorEvaluationContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.RunRequest | dg.SkipReason:
    """Ask for one tick run when something is due, has landed or was changed.

    Skips while a tick run is queued or alive, since that one keeps ticking, and for a minute after
    a failed one. Reads what the latest run left behind and the times of files, never the ledger;
    the run looks for itself at what is due.
    """
    now = clock()
    busy = _reason_to_wait(context.instance, now)
    if busy:
        return dg.SkipReason(busy)
    last = read_last_tick(context.instance)
    reason = reason_to_tick(settings.home, settings.sequences, last, now)
    # No run key: a key would keep a failed run from being asked for again.
    return dg.RunRequest(tags={"reason": reason}) if reason else dg.SkipReason(_nothing_due(last))


def _reason_to_wait(instance: dg.DagsterInstance, now: datetime) -> str | None:
    records = instance.get_run_records(filters=dg.RunsFilter(job_name=tick_job.name), limit=1)
    if not records:
        return None
    run, ended = records[0].dagster_run, records[0].end_time
    if run.status in UNFINISHED:
        return f"Tick run {run.run_id[:8]} is {run.status.value.lower()}."
    is_recent = ended is not None and now - datetime.fromtimestamp(ended, UTC) < BACK_OFF
    if run.status == dg.DagsterRunStatus.FAILURE and is_recent:
        return f"Tick run {run.run_id[:8]} has just failed; asking again after a minute."
    return None


def read_last_tick(instance: dg.DagsterInstance) -> LastTick | None:
    """Return what the latest finished tick run left behind on `ledger/sends`."""
    event = instance.get_latest_materialization_event(SENDS)
    materialization = event.asset_materialization if event else None
    if materialization is None:
        return None
    moments = {
        name: datetime.fromtimestamp(value.value, UTC)
        for name, value in materialization.metadata.items()
        if isinstance(value, dg.TimestampMetadataValue)
    }
    if not {"looked_at", "finished_at"} <= moments.keys():  # somebody reported it by hand
        return None
    return LastTick(moments["looked_at"], moments["finished_at"], moments.get("ask_again_at"))


def _nothing_due(last: LastTick | None) -> str:
    if last is None or last.ask_again_at is None:
        return "Nothing is due."
    return f"Nothing is due before {last.ask_again_at:%Y-%m-%d %H:%M:%S} UTC."


@dg.sensor(minimum_interval_seconds=600, default_status=dg.DefaultSensorStatus.RUNNING)
def old_tick_runs_sensor(
    context: dg.SensorEvaluationContext, clock: dg.ResourceParam[Clock]
) -> dg.SkipReason:
    """Delete Dagster's records of tick runs after seven days, the oldest first."""
    old = context.instance.get_run_records(
        filters=dg.RunsFilter(
            job_name=tick_job.name, statuses=FINISHED, created_before=clock() - KEPT_TICK_RUNS
        ),
        limit=MOST_DELETED,
        ascending=True,
    )
    for record in old:
        context.instance.delete_run(record.dagster_run.run_id)
    return dg.SkipReason(f"{len(old)} tick runs older than 7 days were deleted.")


@dg.schedule(
    job_name="refresh_job",
    cron_schedule="*/15 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def refresh_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Publish the warehouse anew every 15 minutes, unless a refresh is still at it."""
    unfinished = context.instance.get_run_records(
        filters=dg.RunsFilter(job_name="refresh_job", statuses=UNFINISHED), limit=1
    )
    if unfinished:
        return dg.SkipReason(f"Refresh {unfinished[0].dagster_run.run_id[:8]} has not finished.")
    return dg.RunRequest()
