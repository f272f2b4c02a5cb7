"""The code locations. `.venv/bin/python tests/test_definitions.py` writes the snapshot anew."""

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipeline.definitions import assemble_refresh, assemble_ticks, zone_of
from pipeline.defs.instance import prepare_instance
from pipeline.defs.manifest import prepare_manifest, read_manifest
from pipeline.ledger.locks import hold_lock
from pipeline.settings import Settings, child_environment, load_settings, utc_now

ROOT = Path(__file__).resolve().parent.parent
SNAPSHOT = ROOT / "tests" / "defs" / "graph.txt"
GROUPS = {"ledger", "warehouse", "intermediate", "marts", "analysis", "reports"}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dbt's manifest: the same one as in tests/defs, parsed once for all."""
    place = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    home = tmp_path_factory.getbasetemp().parent / f"manifest-{place}"
    home.mkdir(exist_ok=True)
    with hold_lock(home / "parse.lock", timeout=120):
        return prepare_manifest(load_settings(home=home))


@pytest.fixture
def locations(tmp_path: Path, manifest: Path) -> Iterator[dict[str, dg.Definitions]]:
    """Both locations, of a workspace that does not exist."""
    # Dagster remembers the instance last used in this process, which another file's test may have
    # let go of; resolving a graph then fails.
    with dg.DagsterInstance.ephemeral():
        yield assemble_both(load_settings(home=tmp_path / "home"), manifest)


def assemble_both(settings: Settings, manifest: Path) -> dict[str, dg.Definitions]:
    return {
        "ticks": assemble_ticks(settings, utc_now),
        "refresh": assemble_refresh(settings, utc_now, manifest, "America/New_York"),
    }


def describe(locations: dict[str, dg.Definitions]) -> str:
    """List every location's assets and automation, one to a line."""
    lines = []
    for name, location in locations.items():
        lines.append(f"location {name}")
        lines += [f"  {line}" for line in sorted(assets_of(location))]
        lines += sorted(f"  job {one.name}" for one in location.jobs or [])
        lines += sorted(f"  sensor {one.name}" for one in location.sensors or [])
        lines += sorted(
            f"  schedule {one.name}: {one.cron_schedule} {one.execution_timezone}"
            for one in location.schedules or []
        )
    return "\n".join(lines) + "\n"


def assets_of(location: dg.Definitions) -> list[str]:
    graph = location.resolve_asset_graph()
    return [
        f"{key.to_user_string()} [{node.group_name}; {', '.join(sorted(node.kinds))}; "
        f"{', '.join(node.owners)}] <- "
        + (", ".join(sorted(parent.to_user_string() for parent in node.parent_keys)) or "nothing")
        for key in graph.get_all_asset_keys()
        for node in [graph.get(key)]
        if node.is_executable
    ]


def test_the_graph_is_the_one_that_was_agreed_on(locations: dict[str, dg.Definitions]) -> None:
    assert describe(locations) == SNAPSHOT.read_text(encoding="utf-8"), (
        "If the change is meant: .venv/bin/python tests/test_definitions.py"
    )


def test_both_locations_can_be_loaded(locations: dict[str, dg.Definitions]) -> None:
    for location in locations.values():
        dg.Definitions.validate_loadable(location)


@pytest.mark.prove
def test_dagster_finds_nothing_wrong_with_both_locations(tmp_path: Path) -> None:
    folder = prepare_instance(tmp_path)
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("dagster")), "definitions", "validate"),
            *("--workspace", str(folder / "workspace.yaml")),
        ],
        env=child_environment(load_settings(home=tmp_path)) | {"DAGSTER_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    for name in ("ticks", "refresh"):
        assert f"Validation successful for code location {name}." in told
    assert not re.search("WARNING|ERROR", told), told


def test_every_asset_has_its_group_kinds_owner_and_description(
    locations: dict[str, dg.Definitions],
) -> None:
    for location in locations.values():
        for spec in location.resolve_all_asset_specs():
            if not spec.group_name or spec.group_name == "default":
                continue  # a stand-in for an asset of the other location
            assert spec.group_name in GROUPS
            assert spec.key.path[0] == spec.group_name
            assert spec.owners == ["team:growth"]
            assert spec.kinds
            assert spec.description, spec.key


def test_every_mart_shows_its_columns_with_type_and_description(
    locations: dict[str, dg.Definitions],
) -> None:
    marts = [
        spec
        for spec in locations["refresh"].resolve_all_asset_specs()
        if spec.group_name == "marts"
    ]
    assert marts
    for spec in marts:
        columns = spec.metadata["dagster/column_schema"].columns
        assert columns
        assert all(column.type and column.description for column in columns), spec.key


def test_dbt_tests_are_checks_and_each_stops_a_refresh_unless_it_only_warns(
    locations: dict[str, dg.Definitions], manifest: Path
) -> None:
    graph = locations["refresh"].resolve_asset_graph()
    checks = [graph.get_check_spec(key) for key in graph.asset_check_keys]
    tests = {
        node["name"]: node["config"]["severity"].lower() == "error"
        for node in read_manifest(manifest)["nodes"].values()
        if node["resource_type"] == "test"
    }
    assert {check.name: check.blocking for check in checks} == tests


def test_people_see_how_fresh_what_is_published_is(locations: dict[str, dg.Definitions]) -> None:
    specs = {spec.key: spec for spec in locations["refresh"].resolve_all_asset_specs()}
    assert specs[dg.AssetKey(["warehouse", "published"])].freshness_policy is not None


LIGHT = """
import builtins, os, sys
from pathlib import Path
import pipeline.definitions
assert not Path(os.environ["DRIP_HOME"]).exists()
location = pipeline.definitions.ticks()
assert location.resolve_job_def("tick_job").name == "tick_job"
assert not Path(os.environ["DRIP_HOME"]).exists()
heavy = sorted({name.split(".")[0] for name in sys.modules} & {"dbt", "dagster_dbt", "altair"})
assert not heavy, heavy
"""


def test_ticks_load_without_dbt_and_importing_touches_no_store(tmp_path: Path) -> None:
    environment = child_environment(load_settings(home=tmp_path / "home"))
    done = subprocess.run(
        [sys.executable, "-c", LIGHT],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_broken_workspace_file_does_not_keep_the_location_from_loading(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, sequences=tmp_path / "sequences")
    assert zone_of(settings) == "UTC"
    assert zone_of(load_settings(sequences=ROOT / "sequences")) == "America/New_York"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made = load_settings(home=folder)
        SNAPSHOT.write_text(describe(assemble_both(made, prepare_manifest(made))), encoding="utf-8")
