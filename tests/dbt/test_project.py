"""The dbt project itself: it parses in silence, is described, and its unit tests pass."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.sequences.model import Workspace
from pipeline.settings import Settings
from pipeline.warehouse.build import discard_next, start_next
from pipeline.warehouse.copy import copy_facts, discard_facts
from pipeline.warehouse.paths import DBT_PROJECT, dbt_target_path
from pipeline.warehouse.project import dbt_arguments

MODELS = DBT_PROJECT / "models"
SMALL_WORKSPACE = Workspace(name="small", timezone="UTC", senders={})


def dbt(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dbt.cli.main", "--no-use-colors", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def manifest(small_home: Path) -> dict[str, Any]:
    """What dbt understood of the project in the refresh of the nine leads."""
    text = (dbt_target_path(small_home) / "manifest.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def test_the_project_parses_without_a_warning(tmp_path: Path) -> None:
    told = dbt(
        "parse",
        *("--project-dir", str(DBT_PROJECT)),
        *("--profiles-dir", str(DBT_PROJECT)),
        *("--target-path", str(tmp_path / "target")),
        *("--log-path", str(tmp_path / "logs")),
        *("--warn-error", "--no-partial-parse", "--show-all-deprecations"),
    )
    assert not re.search(r"warning|deprecated", told, re.IGNORECASE), told


def test_the_unit_tests_of_the_models_pass(small_home: Path) -> None:
    settings = Settings(home=small_home)
    copy_facts(small_home)
    try:
        start_next(small_home, datetime(2026, 3, 31, tzinfo=UTC), "unit", SMALL_WORKSPACE)
        rest = dbt_arguments(small_home, settings)[1:-2]
        told = dbt("test", "--select", "test_type:unit", *rest)
    finally:
        discard_facts(small_home)
        discard_next(small_home)
    assert re.search(r"PASS=[1-9]\d* WARN=0 ERROR=0 SKIP=0", told), told


def test_every_model_has_a_file_of_the_same_name_that_describes_it() -> None:
    for model in MODELS.rglob("*.sql"):
        text = model.with_suffix(".yml").read_text(encoding="utf-8")
        assert f"- name: {model.stem}\n" in text
        assert "Grain: " in text, model


def test_every_column_of_a_mart_is_described_and_typed(manifest: dict[str, Any]) -> None:
    marts = [node for node in manifest["nodes"].values() if node.get("schema") == "marts"]
    marts = [node for node in marts if node["resource_type"] == "model"]
    assert len(marts) == len(list((MODELS / "marts").glob("*.sql")))
    for mart in marts:
        assert mart["config"]["contract"]["enforced"], mart["name"]
        for column in mart["columns"].values():
            assert column["description"].endswith("."), (mart["name"], column["name"])
            assert column["data_type"], (mart["name"], column["name"])


def test_every_mart_is_tested_for_its_key(manifest: dict[str, Any]) -> None:
    tested: dict[str, set[str]] = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test" and node.get("test_metadata"):
            kinds = tested.setdefault((node["attached_node"] or "..").split(".")[2], set())
            kinds.add(node["test_metadata"]["name"])
    for model in (MODELS / "marts").glob("*.sql"):
        kinds = tested[model.stem]
        whole = ({"sound"}, {"unique", "not_null"}, {"unique_together", "never_null"})
        assert any(kind <= kinds for kind in whole), model
