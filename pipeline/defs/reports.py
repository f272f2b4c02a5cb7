"""The reports as assets: the weekly review.

Belongs here: when they are written and where they lie. Does not: their words and pictures
(`analysis.review`).
"""

import dagster as dg

from pipeline.analysis.review import write_review
from pipeline.defs.ledger import OWNERS, Clock
from pipeline.defs.warehouse import PUBLISHED
from pipeline.settings import Settings


@dg.asset(
    key=["reports", "weekly_review"],
    group_name="reports",
    kinds={"html"},
    owners=OWNERS,
    deps=[PUBLISHED],
)
def weekly_review(
    settings: dg.ResourceParam[Settings], clock: dg.ResourceParam[Clock]
) -> dg.MaterializeResult[None]:
    """The review of all experiments: one self-contained page, from the published warehouse."""
    path = write_review(settings, clock())
    return dg.MaterializeResult(
        metadata={"path": dg.MetadataValue.path(path), "bytes": path.stat().st_size}
    )


weekly_review_job = dg.define_asset_job(
    "weekly_review_job",
    selection=dg.AssetSelection.assets(weekly_review),
    description="Write the weekly review from what is published.",
    executor_def=dg.in_process_executor,
    config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
)
