import json
import os
import shutil
from pathlib import Path

import pytest

from pipeline.defs.manifest import manifest_path, prepare_manifest, read_manifest
from pipeline.settings import DripError, load_settings
from pipeline.warehouse.paths import DBT_PROJECT


def test_the_project_is_parsed_again_only_when_it_has_changed(tmp_path: Path) -> None:
    project, settings = tmp_path / "project", load_settings(home=tmp_path / "home")
    shutil.copytree(DBT_PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    made = manifest_path(settings.home)
    made.parent.mkdir(parents=True)
    made.write_text("made before")
    assert prepare_manifest(settings, project) == made
    assert made.read_text() == "made before"

    model = project / "models" / "marts" / "leads.sql"
    model.write_text("{{ this is no model")
    os.utime(model, (made.stat().st_mtime + 1, made.stat().st_mtime + 1))
    with pytest.raises(DripError, match=r"leads\.sql"):
        prepare_manifest(settings, project)
    assert made.read_text() == "made before"
    assert [path.name for path in made.parent.iterdir()] == ["manifest.json"]


def test_every_test_of_the_project_belongs_to_a_table(manifest: Path) -> None:
    nodes = read_manifest(manifest)["nodes"].values()
    tests = [node for node in nodes if node["resource_type"] == "test"]
    assert len(tests) > 20
    homeless = [
        node["name"]
        for node in tests
        if not (
            node.get("attached_node")
            or len(node["depends_on"]["nodes"]) == 1
            or node["config"]["meta"].get("dagster")
        )
    ]
    assert homeless == []


def test_a_test_of_several_models_is_given_to_the_first_table(tmp_path: Path) -> None:
    def node(kind: str, name: str, materialized: str, reads: list[str]) -> dict[str, object]:
        return {
            "resource_type": kind,
            "name": name,
            "config": {"materialized": materialized, "meta": {}},
            "depends_on": {"nodes": reads},
        }

    nodes = {
        "stg": node("model", "stg_leads", "ephemeral", []),
        "leads": node("model", "leads", "table", ["stg"]),
        "sends": node("model", "sends", "table", ["stg"]),
        "test": node("test", "agree", "test", ["source", "stg", "leads", "sends"]),
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"nodes": nodes}))
    read = read_manifest(path)["nodes"]
    assert read["test"]["config"]["meta"] == {"dagster": {"ref": {"name": "leads"}}}
    assert read["leads"]["config"]["meta"] == {}
