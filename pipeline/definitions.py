"""The two code locations of Dagster: `ticks`, light, and `refresh`, with dbt.

Belongs here: which assets, jobs, sensors and schedules each consists of. Does not: any of them
(`defs`). Importing this does nothing; each location reads what it needs when Dagster loads it.
"""

from pathlib import Path

import dagster as dg

from pipeline.defs.automation import (
    due_sends_sensor,
    old_tick_runs_sensor,
    refresh_schedule,
)
from pipeline.defs.freshness import published_freshness_sensor
from pipeline.defs.ledger import Clock, ledger_tables, tick_job
from pipeline.sequences.compile import load_workspace
from pipeline.settings import DripError, Settings, load_settings, utc_now


@dg.definitions
def ticks() -> dg.Definitions:
    """Load the location that contacts people: it starts in a third of the other one's time."""
    return assemble_ticks(load_settings(), utc_now)


@dg.definitions
def refresh() -> dg.Definitions:
    """Load the location that publishes the warehouse; parses the dbt project if it has changed."""
    # Imports dbt and dagster_dbt, two thirds of its start: not for the other location.
    from pipeline.defs.manifest import prepare_manifest  # noqa: PLC0415

    settings = load_settings()
    return assemble_refresh(settings, utc_now, prepare_manifest(settings), zone_of(settings))


def zone_of(settings: Settings) -> str:
    """Return the workspace's zone; UTC while workspace.yml is broken, which each run will say."""
    try:
        return load_workspace(settings.sequences).timezone
    except DripError:
        return "UTC"


def assemble_ticks(settings: Settings, clock: Clock) -> dg.Definitions:
    """Put together what ticks: the ledger's tables, their job, their sensor."""
    return dg.Definitions(
        assets=[ledger_tables],
        jobs=[tick_job],
        sensors=[due_sends_sensor, old_tick_runs_sensor, published_freshness_sensor],
        resources={"settings": settings, "clock": clock},
        executor=dg.in_process_executor,
    )


def assemble_refresh(
    settings: Settings, clock: Clock, manifest: Path, timezone: str
) -> dg.Definitions:
    """Put together what publishes: copy, models, analysis, publication, review."""
    from pipeline.defs.analysis import analysis_tables  # noqa: PLC0415 - see `refresh`
    from pipeline.defs.reports import (  # noqa: PLC0415
        weekly_review,
        weekly_review_job,
        weekly_review_schedule,
    )
    from pipeline.defs.warehouse import (  # noqa: PLC0415
        dbt_resource,
        ledger_copy,
        load_models,
        load_publish,
        refresh_job,
        refresh_resource,
    )

    models = load_models(manifest)
    # What stands between is reached through the marts: the graph stays readable.
    marts = [key for key in models.keys if key.path[0] == "marts"]
    publish = load_publish([*marts, *analysis_tables.keys])
    return dg.Definitions(
        assets=[ledger_copy, models, analysis_tables, publish, weekly_review],
        jobs=[refresh_job, weekly_review_job],
        schedules=[refresh_schedule, weekly_review_schedule(timezone)],
        resources={
            "settings": settings,
            "clock": clock,
            "refresh": refresh_resource(settings, clock),
            "dbt": dbt_resource(),
        },
        # One process per run, also for what a person starts in the UI: its steps share one lock.
        executor=dg.in_process_executor,
    )
