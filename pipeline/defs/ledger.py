"""The assets of a tick: leads, events, enrollments and sends of the ledger.

Belongs here: what Dagster shows of them. Does not: the tick (`engine.tick`), how long a run goes on
(`ticking`). Nothing here may import dbt: ticks live in a light code location.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import dagster as dg

from pipeline.defs.ticking import TickRun, tick_while_due
from pipeline.engine.tick import tick
from pipeline.ledger.store import open_ledger
from pipeline.settings import Settings

Clock = Callable[[], datetime]

OWNERS = ["team:growth"]
# For jobs whose run may be killed by the system: another one from its first step, since what a run
# has made goes with it.
RETRY_TAGS = {"dagster/max_retries": "1", "dagster/retry_strategy": "ALL_STEPS"}
GROUP = "ledger"
SENDS = dg.AssetKey([GROUP, "sends"])
_ROW_COUNTS = Path(__file__).with_name("row_counts.sql")


def _table(name: str, description: str, deps: list[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=[GROUP, name],
        group_name=GROUP,
        kinds={"duckdb", "table"},
        owners=OWNERS,
        description=description,
        deps=[dg.AssetKey([GROUP, dep]) for dep in deps],
    )


TABLES = [
    _table("leads", "Who there is, as landing tells. Grain: one row per lead.", []),
    _table("events", "What came back: opens, replies, conversions. Grain: one per event.", []),
    _table(
        "enrollments",
        "Leads in sequences, by the rules of the files. Grain: one row per lead and entry.",
        ["leads", "events"],
    ),
    _table(
        "sends",
        "Messages claimed and handed over. Grain: one row per enrollment and step.",
        ["enrollments", "events"],
    ),
]


@dg.multi_asset(specs=TABLES, pool="dispatch")
def ledger_tables(
    settings: dg.ResourceParam[Settings], clock: dg.ResourceParam[Clock]
) -> Iterator[dg.MaterializeResult[None]]:
    """Tick: take in what has landed, enroll, plan, hand over; go on while something is due soon."""
    run = tick_while_due(lambda end: tick(settings, clock, until=end), clock, time.sleep)
    with open_ledger(settings.home, read_only=True) as con:
        rows = con.sql(_ROW_COUNTS.read_text(encoding="utf-8")).pl().row(0, named=True)
    for spec in TABLES:
        name = spec.key.path[-1]
        metadata = _metadata_of(run) if spec.key == SENDS else {}
        yield dg.MaterializeResult(
            asset_key=spec.key, metadata={"dagster/row_count": rows[name], **metadata}
        )


def _metadata_of(run: TickRun) -> dict[str, dg.MetadataValue | int]:
    """Return what the run did, and the moments that `due_sends_sensor` reads."""
    moments = {
        "looked_at": run.looked_at,
        "finished_at": run.finished_at,
        "ask_again_at": run.ask_again_at,
    }
    return {
        **{name: count for name, count in sorted(run.counts.items()) if name not in moments},
        "ticks": run.count_ticks,
        **{
            name: dg.MetadataValue.timestamp(moment.timestamp())
            for name, moment in moments.items()
            if moment is not None
        },
    }


tick_job = dg.define_asset_job(
    "tick_job",
    selection=dg.AssetSelection.assets(*(spec.key for spec in TABLES)),
    description="Ingest, enroll, plan, hand over; stays while something is due soon.",
    # One tick run at a time; a run that outlives its ten minutes by far has died.
    tags={"store": "ledger", "dagster/max_runtime": "900"},
    executor_def=dg.in_process_executor,
    config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
)
