"""dbt's manifest for Dagster: parsed when the project has changed, read by every process else.

Belongs here: making it and finding it. Does not: what Dagster makes of it (`defs.warehouse`), the
parse that a refresh keeps for itself (`warehouse.build`).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline.settings import DripError, Settings, child_environment
from pipeline.warehouse.paths import DBT_PROJECT


def manifest_path(home: Path) -> Path:
    """Return where the manifest lies: apart from dbt's own target, which a refresh rewrites."""
    return home / "dagster" / "manifest.json"


def prepare_manifest(settings: Settings, project: Path = DBT_PROJECT) -> Path:
    """Return the manifest; parse the project when it has changed since, in some six seconds.

    Raises:
        DripError: dbt cannot parse the project.
    """
    path = manifest_path(settings.home)
    if not path.exists() or path.stat().st_mtime < _changed_at(project):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            _parse(settings, project, Path(folder).resolve())
            parsed = Path(folder) / "manifest.json"
            json.loads(parsed.read_text(encoding="utf-8"))
            # By rename: another process may be reading the old one.
            parsed.replace(path)
    return path


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest, with every test of several models given to the first table it reads.

    Else dagster-dbt makes a remark of such a test instead of a check.
    """
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    nodes = manifest["nodes"]
    for node in nodes.values():
        if node["resource_type"] != "test" or node.get("attached_node"):
            continue
        read = [nodes[name] for name in node["depends_on"]["nodes"] if name in nodes]
        tables = [one["name"] for one in read if one["config"]["materialized"] == "table"]
        if tables:
            node["config"]["meta"] = {"dagster": {"ref": {"name": tables[0]}}}
    return manifest


def _changed_at(project: Path) -> float:
    sources = [project / "dbt_project.yml", project / "profiles.yml"]
    for folder in ("models", "macros", "tests"):
        sources += [project / folder, *(project / folder).rglob("*")]
    return max(path.stat().st_mtime for path in sources)


def _parse(settings: Settings, project: Path, target: Path) -> None:
    command = [
        *(str(Path(sys.executable).with_name("dbt")), "--no-use-colors", "--log-level", "warn"),
        *("parse", "--project-dir", str(project), "--profiles-dir", str(project)),
        *("--target-path", str(target), "--log-path", str(target)),
    ]
    done = subprocess.run(
        command,
        env=child_environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DripError(
            f"dbt cannot parse {project}:\n{done.stdout.strip() or done.stderr.strip()}\n"
            "Correct what it names."
        )
