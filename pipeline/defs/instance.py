"""Dagster's own home: its configuration, its pools, the runs that died with the last start.

Belongs here: what has to be there before Dagster starts. Does not: starting it (`up`), which code
locations there are (`workspace.yml`, `definitions`).
"""

from pathlib import Path

import dagster as dg

from pipeline.defs.automation import UNFINISHED

# Dagster stores a pool's default limit only after it has seen the pool: on a fresh home the first
# two runs would go through together (feasibility.md A3).
POOLS = ("dispatch", "warehouse")


def dagster_home(home: Path) -> Path:
    """Return what Dagster calls DAGSTER_HOME, absolute."""
    return (home / "dagster").resolve()


def prepare_instance(home: Path) -> Path:
    """Write Dagster's configuration, limit its pools, settle old runs; return its home.

    Only while no Dagster runs on this home: runs that look alive are marked as failed.
    """
    folder = dagster_home(home)
    folder.mkdir(parents=True, exist_ok=True)
    for ours, theirs in (("instance.yml", "dagster.yaml"), ("workspace.yml", "workspace.yaml")):
        text = Path(__file__).with_name(ours).read_text(encoding="utf-8")
        (folder / theirs).write_text(text, encoding="utf-8")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        for pool in POOLS:
            instance.event_log_storage.set_concurrency_slots(pool, 1)
        fail_dead_runs(instance)
    return folder


def fail_dead_runs(instance: dg.DagsterInstance) -> int:
    """Mark runs that were alive when Dagster was stopped as failed; return how many.

    They would hold their pool and keep the sensor quiet. What they did is safe: the next tick and
    the next refresh go on from the stores.
    """
    started = [status for status in UNFINISHED if status != dg.DagsterRunStatus.QUEUED]
    dead = instance.get_runs(filters=dg.RunsFilter(statuses=started))
    for run in dead:
        instance.report_run_failed(run, "Driplab was stopped while this run was at work.")
    return len(dead)
