"""How old published numbers may get, and who is told when they are older.

Belongs here: the limits, the sensor that watches them, the message. Does not: publishing
(`warehouse`), other automation. Nothing here may import dbt: it works while a refresh cannot.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

import dagster as dg
import httpx

from pipeline.defs.ledger import Clock
from pipeline.settings import Settings

State = Literal["fresh", "late", "stale"]

PUBLISHED = dg.AssetKey(["warehouse", "published"])
# A refresh every 15 minutes takes a minute or two: half an hour is late, an hour is broken.
LATE, STALE = timedelta(minutes=30), timedelta(hours=1)
POLICY = dg.FreshnessPolicy.time_window(fail_window=STALE, warn_window=LATE)
PATIENCE_SECONDS = 10.0


def judge_age(age: timedelta) -> State:
    """Return what numbers of that age are.

    >>> judge_age(timedelta(minutes=29)), judge_age(timedelta(minutes=45)), judge_age(STALE)
    ('fresh', 'late', 'stale')
    """
    if age >= STALE:
        return "stale"
    return "late" if age >= LATE else "fresh"


@dg.sensor(minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def published_freshness_sensor(
    context: dg.SensorEvaluationContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.SkipReason:
    """Tell `DRIP_ALERT_URL` once when published numbers become late, stale or fresh again.

    What could not be told is told a minute later. Before the first refresh there is nothing to
    watch.
    """
    event = context.instance.get_latest_materialization_event(PUBLISHED)
    if event is None:
        return dg.SkipReason("Nothing is published yet.")
    published_at = datetime.fromtimestamp(event.timestamp, UTC)
    age = clock() - published_at
    state, told = judge_age(age), context.cursor or "fresh"
    # The cursor is what was told, so a URL that is set while numbers are stale hears of it.
    if state != told and settings.alert_url:
        failed = None if state == "fresh" else _latest_failure(context.instance, published_at)
        _post(settings.alert_url, describe(state, published_at, age, failed))
        context.update_cursor(state)
    where = "" if settings.alert_url else " Nobody is told: DRIP_ALERT_URL is not set."
    return dg.SkipReason(
        f"Published {_minutes(age)} minutes ago: {state}.{where if state != 'fresh' else ''}"
    )


def describe(
    state: State, published_at: datetime, age: timedelta, failed_run: str | None = None
) -> dict[str, str | int]:
    """Return the message: `text` for people and chats, the rest for programs."""
    text = f"Driplab: published numbers are {state}, {_minutes(age)} minutes old."
    if state != "fresh":
        text += (
            f" Refresh run {failed_run[:8]} failed: see its log in Dagster."
            if failed_run
            else " No refresh has failed: see in Dagster whether refresh_schedule is on."
        )
    return {
        "text": text,
        "asset": PUBLISHED.to_user_string(),
        "state": state,
        "published_at": published_at.isoformat(timespec="seconds"),
        "age_minutes": _minutes(age),
    }


def _latest_failure(instance: dg.DagsterInstance, since: datetime) -> str | None:
    records = instance.get_run_records(
        filters=dg.RunsFilter(
            job_name="refresh_job", statuses=[dg.DagsterRunStatus.FAILURE], created_after=since
        ),
        limit=1,
    )
    return records[0].dagster_run.run_id if records else None


def _post(url: str, message: Mapping[str, str | int]) -> None:
    httpx.post(url, json=dict(message), timeout=PATIENCE_SECONDS).raise_for_status()


def _minutes(age: timedelta) -> int:
    return int(age / timedelta(minutes=1))
