"""A sequences folder to write mistakes into."""

from collections.abc import Callable
from pathlib import Path

import pytest

WORKSPACE = """
name: Test
timezone: Europe/Berlin
address: 1 Example Street
attributes: [plan, seats]
senders:
  sales: {channel: email, address: "Ann <ann@example.com>"}
  text: {channel: sms, address: "Ann <sms@example.com>", to: "{{ phone }}@sms.example"}
goals: {sale: tracker}
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a folder with a workspace, two templates, and the given files."""

    def run(files: dict[str, str] | None = None, workspace: str | None = WORKSPACE) -> Path:
        folder = tmp_path / "sequences"
        base = {"templates/a.md": "Hello {{ first_name | default('there') }}", **(files or {})}
        if workspace is not None:
            base["workspace.yml"] = workspace
        for name, text in base.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder

    return run
