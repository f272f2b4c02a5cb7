from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from pipeline.analysis.tables import ANALYSES
from pipeline.definitions import assemble_refresh
from pipeline.defs.warehouse import (
    COPY,
    LOOKS,
    PUBLISHED,
    WEEKS,
    Refresh,
    hold_refresh,
    ledger_copy,
    load_publish,
    show_lineage,
)
from pipeline.engine.tick import tick
from pipeline.ledger.locks import LockBusy
from pipeline.ledger.store import ledger_path, open_ledger
from pipeline.settings import Settings
from pipeline.warehouse.build import start_next
from pipeline.warehouse.lineage import Traced
from pipeline.warehouse.lock import hold_refresh_lock
from pipeline.warehouse.paths import ledger_copy_path, name_week, next_path, warehouse_path
from pipeline.warehouse.read import published_at
from pipeline.warehouse.results import AuditFailed

Run = Callable[[dg.DagsterInstance], dg.ExecuteInProcessResult]


@pytest.fixture
def run(settings: Settings, clock: Any, manifest: Path) -> Run:
    """One run of the whole refresh job, in this process."""
    job = assemble_refresh(settings, clock, manifest, "UTC").resolve_job_def("refresh_job")
    return lambda instance: job.execute_in_process(instance=instance, raise_on_error=False)


def begun(refresh: Refresh) -> None:
    """Bring a refresh as far as the file that dbt would fill."""
    ledger_copy(refresh)
    start_next(refresh.home, refresh.now, refresh.refresh_id, refresh.workspace)


def test_one_refresh_holds_the_lock_and_leaves_no_copy_of_the_ledger(
    settings: Settings, clock: Any
) -> None:
    with hold_refresh(settings, clock) as refresh:
        shown = ledger_copy(refresh)
        assert shown.metadata["bytes"] == ledger_copy_path(settings.home).stat().st_size
        with pytest.raises(LockBusy), hold_refresh_lock(settings.home, 0):
            pass
    assert not ledger_copy_path(settings.home).exists()
    with hold_refresh_lock(settings.home, 0):
        pass


def test_columns_are_shown_to_come_from_models_and_from_the_copy() -> None:
    sources = [
        ["ledger", "main", "sends", "send_id"],
        ["warehouse", "marts", "leads", "lead_id"],
        ["warehouse", "meta", "refresh", "timezone"],
    ]
    shown = show_lineage(Traced({"a": sources, "b": []}))["dagster/column_lineage"]
    assert shown == dg.TableColumnLineage(
        {
            "a": [
                dg.TableColumnDep(COPY, "sends.send_id"),
                dg.TableColumnDep(dg.AssetKey(["marts", "leads"]), "lead_id"),
                dg.TableColumnDep(COPY, "meta.refresh.timezone"),
            ],
            "b": [],
        }
    )
    assert show_lineage(Traced(problem="no")) == {"columns_not_traced": "no"}


def test_publish_refuses_a_file_of_which_dbt_says_nothing(settings: Settings, clock: Any) -> None:
    publish = load_publish([COPY])
    with hold_refresh(settings, clock) as refresh:
        begun(refresh)
        with pytest.raises(AuditFailed, match="dbt"):
            list(publish(dg.build_asset_context(), refresh))
    assert not warehouse_path(settings.home).exists()


def failure_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_key == step
    return str(failure.step_failure_data.error)


def test_a_failing_dbt_test_fails_the_run_and_nothing_is_published(
    instance: dg.DagsterInstance, settings: Settings, clock: Any, run: Run
) -> None:
    tick(settings, clock)
    with open_ledger(settings.home) as con:
        con.execute("insert into leads select * from leads")

    result = run(instance)

    assert not result.success
    told = failure_of(result, "dbt_models")
    assert "unique_leads_lead_id" in told
    assert "Failing rows" in told
    assert instance.get_latest_materialization_event(PUBLISHED) is None
    assert instance.get_latest_materialization_event(LOOKS) is None
    assert not warehouse_path(settings.home).exists()
    assert not next_path(settings.home).exists()


@pytest.mark.prove
def test_a_refresh_shows_every_table_and_every_test_and_publishes_in_the_end(
    instance: dg.DagsterInstance, settings: Settings, clock: Any, run: Run
) -> None:
    tick(settings, clock)

    result = run(instance)

    assert result.success
    shown = {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key
    }
    assert {f"analysis/{name}" for name in ANALYSES} < shown.keys()
    assert shown["marts/leads"]["dagster/row_count"].value == 1
    assert not [name for name in shown if "columns_not_traced" in shown[name]]
    lineage = shown["intermediate/int_sends"]["dagster/column_lineage"].value
    assert lineage.deps_by_column["was_sent"] == [dg.TableColumnDep(COPY, "send_status.status")]
    copied = shown["warehouse/ledger_copy"]["dagster/column_schema"].value
    assert "send_status.status" in {column.name for column in copied.columns}
    checks = result.get_asset_check_evaluations()
    assert all(check.passed for check in checks)
    assert shown["warehouse/published"]["checks"].value == len(checks)
    moment = published_at(settings.home)
    assert moment is not None
    assert moment.timestamp() == pytest.approx(shown["warehouse/published"]["facts_at"].value)
    with duckdb.connect(str(ledger_path(settings.home)), read_only=True) as con:
        assert con.execute("select count(*) from jobs where job = 'refresh'").fetchone() == (1,)
    assert shown["warehouse/published"]["seconds"].value > 0
    assert all(
        shown[name]["Execution Duration"].value > 0 for name in shown if name.startswith("marts/")
    )
    week = name_week(clock(), "UTC")
    assert instance.get_dynamic_partitions(str(WEEKS.name)) == [week]
