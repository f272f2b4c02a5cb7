"""The reports as assets: the weekly review.

Belongs here: when they are written, for which weeks, where they lie. Does not: their words and
pictures (`analysis.review`).
"""

import dagster as dg

from pipeline.analysis.review import write_review
from pipeline.defs.freshness import PUBLISHED
from pipeline.defs.ledger import OWNERS, RETRY_TAGS, Clock
from pipeline.defs.warehouse import WEEKS
from pipeline.sequences.compile import load_workspace
from pipeline.settings import Settings
from pipeline.warehouse.paths import name_week


@dg.asset(
    key=["reports", "weekly_review"],
    group_name="reports",
    kinds={"html"},
    owners=OWNERS,
    deps=[PUBLISHED],
    partitions_def=WEEKS,
)
def weekly_review(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """The review of all experiments: one self-contained page for each ISO week.

    Of this week it shows what is published now, of an earlier one what its last refresh left.
    """
    now, week = clock(), context.partition_key
    is_over = week != name_week(now, load_workspace(settings.sequences).timezone)
    path = write_review(settings, now, week=week if is_over else None)
    return dg.MaterializeResult(
        metadata={"path": dg.MetadataValue.path(path), "bytes": path.stat().st_size}
    )


weekly_review_job = dg.define_asset_job(
    "weekly_review_job",
    selection=dg.AssetSelection.assets(weekly_review),
    description="Write the weekly review from what is published; a backfill writes earlier ones.",
    tags=RETRY_TAGS,
    executor_def=dg.in_process_executor,
    config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
)


def weekly_review_schedule(timezone: str) -> dg.ScheduleDefinition:
    """Return the schedule that writes the review on Mondays at 07:00 in the workspace's zone."""

    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        week = name_week(context.scheduled_execution_time, timezone)
        context.instance.add_dynamic_partitions(str(WEEKS.name), [week])
        return dg.RunRequest(partition_key=week)

    return dg.ScheduleDefinition(
        name="weekly_review_schedule",
        job=weekly_review_job,
        cron_schedule="0 7 * * 1",
        execution_timezone=timezone,
        execution_fn=request,
        description="Write the review of the experiments on Mondays at 07:00, workspace time.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
