"""Real data through the whole ring, as somebody imports the history of another tool."""

from pathlib import Path

from pipeline.analysis.refresh import refresh
from pipeline.engine.intake import take_in
from pipeline.inbound.importers import import_file
from pipeline.sequences.compile import load_workspace
from pipeline.settings import Settings

MAPS = Path(__file__).parents[2] / "examples" / "import"
WORKSPACE = """
name: Real data
timezone: UTC
currency: USD
address: 1 Road
attributes: [{attributes}]
senders: {{sales: {{channel: email, address: "Ann <ann@example.com>"}}}}
goals: {{sale: "import:hillstrom", won: "import:olist", yes: "import:calls"}}
"""


def publish(home, tmp_path, imports, now, attributes=()):
    """Import the files by their maps, take them in, and publish."""
    folder = tmp_path / "sequences"
    folder.mkdir()
    text = WORKSPACE.format(attributes=", ".join(attributes))
    (folder / "workspace.yml").write_text(text, encoding="utf-8")
    settings = Settings(home=home, sequences=folder)
    for kind, path, map_path in imports:
        assert import_file(kind, path, map_path, home, now).rejected == 0
    assert take_in(settings, now)["rejected"] == []
    refresh(home, settings, now, workspace=load_workspace(folder))
