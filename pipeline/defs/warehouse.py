"""The assets of a refresh: the ledger's copy, dbt's models with their tests, what is published.

Belongs here: what Dagster shows of them, the resource that holds one refresh together. Does not:
the steps themselves (`warehouse`), statistics (`defs.analysis`).
"""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliResource,
    dbt_assets,
)

from pipeline.analysis.refresh import new_refresh_id, record_job, record_looks
from pipeline.defs.freshness import POLICY, PUBLISHED
from pipeline.defs.ledger import OWNERS, RETRY_TAGS, TABLES, Clock
from pipeline.defs.manifest import read_manifest
from pipeline.sequences.compile import load_workspace
from pipeline.sequences.model import Workspace
from pipeline.settings import Settings
from pipeline.warehouse.audit import audit_warehouse
from pipeline.warehouse.build import check_results, discard_next, start_next
from pipeline.warehouse.copy import copy_facts, discard_facts
from pipeline.warehouse.definitions import keep_definitions
from pipeline.warehouse.lineage import Traced, trace_models
from pipeline.warehouse.lock import hold_refresh_lock
from pipeline.warehouse.paths import (
    DBT_PROJECT,
    dbt_target_path,
    ledger_copy_path,
    next_path,
    snapshot_paths,
)
from pipeline.warehouse.project import dbt_arguments
from pipeline.warehouse.publish import publish_warehouse
from pipeline.warehouse.results import read_results

GROUP = "warehouse"
POOL = "warehouse"
COPY = dg.AssetKey([GROUP, "ledger_copy"])
LOOKS = dg.AssetKey(["ledger", "looks"])
# A week is there once something was published in it: its copy of the warehouse is kept.
WEEKS = dg.DynamicPartitionsDefinition(name="weeks")
# Longer than a refresh by hand takes: the run waits for it instead of failing.
WAIT_SECONDS = 120.0


@dataclass(frozen=True)
class Refresh:
    """One refresh, from its copy to its publication: all steps of a run share it."""

    settings: Settings
    refresh_id: str
    now: datetime
    workspace: Workspace
    began: float

    @property
    def home(self) -> Path:
        """Return the workspace's home."""
        return self.settings.home


@contextmanager
def hold_refresh(settings: Settings, clock: Clock) -> Iterator[Refresh]:
    """Hold refresh.lock for a whole run, and leave no half-made files behind.

    Raises:
        LockBusy: another refresh still runs after two minutes.
    """
    workspace = load_workspace(settings.sequences)
    with hold_refresh_lock(settings.home, WAIT_SECONDS):
        try:
            yield Refresh(
                settings=settings,
                refresh_id=new_refresh_id(),
                now=clock(),
                workspace=workspace,
                began=time.monotonic(),
            )
        finally:
            discard_facts(settings.home)
            discard_next(settings.home)


def refresh_resource(settings: Settings, clock: Clock) -> dg.ResourceDefinition:
    """Return the resource that takes the lock when a run starts and frees it when the run ends."""

    def refresh(_context: dg.InitResourceContext) -> Iterator[Refresh]:
        with hold_refresh(settings, clock) as one:
            yield one

    return dg.ResourceDefinition(
        contextmanager(refresh), description="One refresh, under refresh.lock for the whole run."
    )


class FolderTranslator(DagsterDbtTranslator):
    """A model's key is [schema, name], its group its folder; every source is the ledger's copy."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Return [schema, name]; sources stand in the copy of the ledger."""
        if dbt_resource_props["resource_type"] == "source":
            return COPY
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Return the folder below models/."""
        if dbt_resource_props["resource_type"] == "source":
            return GROUP
        return str(dbt_resource_props["fqn"][1])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str] | None:
        """Return the one team."""
        del dbt_resource_props
        return OWNERS

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Return the model's own words, without its SQL."""
        return str(dbt_resource_props.get("description") or "")


def dbt_resource() -> DbtCliResource:
    """Return dbt of this very installation, on our project."""
    return DbtCliResource(
        project_dir=str(DBT_PROJECT),
        profiles_dir=str(DBT_PROJECT),
        dbt_executable=str(Path(sys.executable).with_name("dbt")),
        # Never -q: dagster-dbt reads dbt's events, and without them it skips what follows and
        # succeeds (feasibility.md A3).
        global_config_flags=["--no-use-colors"],
    )


@dg.asset(
    key=COPY,
    group_name=GROUP,
    kinds={"duckdb"},
    owners=OWNERS,
    deps=[spec.key for spec in TABLES],
    pool=POOL,
)
def ledger_copy(refresh: dg.ResourceParam[Refresh]) -> dg.MaterializeResult[None]:
    """A copy of the ledger's file, made under its lock in a moment. Deleted when the run ends."""
    began = time.monotonic()
    copy = copy_facts(refresh.home)
    return dg.MaterializeResult(
        metadata={
            "seconds": round(time.monotonic() - began, 3),
            "bytes": copy.stat().st_size,
            "facts_at": dg.MetadataValue.timestamp(refresh.now.timestamp()),
            "dagster/column_schema": _columns_of(copy),
        }
    )


def _columns_of(copy: Path) -> dg.TableSchema:
    """Return the columns of all tables of the ledger, each with its table: they are one asset."""
    with duckdb.connect(str(copy), read_only=True) as con:
        rows = con.execute(
            "select table_name || '.' || column_name, data_type from duckdb_columns() "
            "where database_name = current_database() and not internal order by 1"
        ).fetchall()
    return dg.TableSchema([dg.TableColumn(name, kind) for name, kind in rows])


def load_models(manifest: Path) -> dg.AssetsDefinition:
    """Return dbt's models as assets and dbt's tests as their checks, by the parsed project."""

    @dbt_assets(
        manifest=read_manifest(manifest),
        name="dbt_models",
        dagster_dbt_translator=FolderTranslator(),
        pool=POOL,
    )
    def dbt_models(
        context: dg.AssetExecutionContext,
        dbt: DbtCliResource,
        refresh: dg.ResourceParam[Refresh],
    ) -> Iterator[Any]:
        """Build every model from the copy and run every test; a failed one ends the refresh."""
        home = refresh.home
        start_next(home, refresh.now, refresh.refresh_id, refresh.workspace)
        target = dbt_target_path(home).resolve()
        (target / "run_results.json").unlink(missing_ok=True)
        built = dbt.cli(
            dbt_arguments(home, refresh.settings),
            context=context.op_execution_context,
            target_path=target,
            raise_on_error=False,  # check_results says which test failed, with its rows
        ).stream()
        # While dbt writes the file nobody else can read it; so all is shown when it has finished.
        events = list(built)
        traced = trace_models(
            read_results(home),
            next_path(home),
            ledger_copy_path(home),
            home / "dbt" / "lineage.json",
        )
        for event in events:
            if isinstance(event, dg.Output):
                key = context.asset_key_for_output(event.output_name)
                rows = count_rows(home, *key.path)
                shown = {"dagster/row_count": rows, **show_lineage(traced[key.path[-1]])}
                context.add_output_metadata(shown, event.output_name)
            yield event
        check_results(home)
        keep_definitions(home)

    return dbt_models


def show_lineage(traced: Traced) -> dict[str, Any]:
    """Return of which columns a model's are made, or what of its SQL was not understood."""
    if traced.problem:
        return {"columns_not_traced": traced.problem}
    deps = {
        name: [_column(*source) for source in sources] for name, sources in traced.columns.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps)}


def _column(catalog: str, schema: str, table: str, column: str) -> dg.TableColumnDep:
    """Return a column of another model, or of the ledger's copy, whose tables are one asset."""
    if catalog == "ledger":
        return dg.TableColumnDep(COPY, f"{table}.{column}")
    if schema == "meta":
        # Written before dbt starts, of workspace.yml and the moment of the copy.
        return dg.TableColumnDep(COPY, f"meta.{table}.{column}")
    return dg.TableColumnDep(dg.AssetKey([schema, table]), column)


def count_rows(home: Path, schema: str, table: str) -> int:
    """Return how many rows a table of the next warehouse has."""
    with duckdb.connect(str(next_path(home)), read_only=True) as con:
        con.execute("select count(*) from query_table($name)", {"name": f"{schema}.{table}"})
        return int(con.fetchall()[0][0])


def load_publish(upstream: Iterable[dg.AssetKey]) -> dg.AssetsDefinition:
    """Return the assets at the end of a refresh, after all that stands in the warehouse."""

    @dg.multi_asset(
        name="publish",
        pool=POOL,
        specs=[
            dg.AssetSpec(
                PUBLISHED,
                deps=sorted(upstream),
                group_name=GROUP,
                kinds={"duckdb"},
                owners=OWNERS,
                description=(
                    "What everybody reads: warehouse.duckdb, replaced whole after its audit. "
                    "Its freshness is that of every number people see."
                ),
                freshness_policy=POLICY,
            ),
            dg.AssetSpec(
                LOOKS,
                deps=[PUBLISHED],
                group_name="ledger",
                kinds={"duckdb", "table"},
                owners=OWNERS,
                description=(
                    "The published decisions, written back once a day: what the engine applies. "
                    "Grain: one row per experiment and workspace day."
                ),
            ),
        ],
    )
    def publish(
        context: dg.AssetExecutionContext, refresh: dg.ResourceParam[Refresh]
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Audit the new warehouse, make it public, write the day's looks into the ledger."""
        home, now = refresh.home, refresh.now
        # It asks for the file and dbt's results of this very refresh, whatever steps ran before.
        audit = audit_warehouse(home, refresh.refresh_id, now)
        timezone = refresh.workspace.timezone
        path = publish_warehouse(home, now, refresh.refresh_id, timezone=timezone)
        # Weeks in which only `drip refresh` published have their copy, too.
        context.instance.add_dynamic_partitions(str(WEEKS.name), list(snapshot_paths(home)))
        yield dg.MaterializeResult(
            asset_key=PUBLISHED,
            metadata={
                "facts_at": dg.MetadataValue.timestamp(now.timestamp()),
                "seconds": round(time.monotonic() - refresh.began, 3),
                "bytes": path.stat().st_size,
                "checks": audit.count_checks,
                "warnings": len(audit.warnings),
                "what_they_show": dg.MetadataValue.text("\n\n".join(audit.warnings)),
                "rows": dg.MetadataValue.json(audit.rows),
            },
        )
        count_looks = record_looks(home, now)
        record_job(home, now, time.monotonic() - refresh.began, audit)
        yield dg.MaterializeResult(asset_key=LOOKS, metadata={"new_rows": count_looks})

    return publish


refresh_job = dg.define_asset_job(
    "refresh_job",
    selection=dg.AssetSelection.groups(GROUP, "intermediate", "marts", "analysis")
    | dg.AssetSelection.assets(LOOKS),
    description="Copy, build, analyse, audit, publish, and write back the day's looks.",
    tags={"store": "warehouse", "dagster/max_runtime": "3600"} | RETRY_TAGS,
    executor_def=dg.in_process_executor,
    config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
)
