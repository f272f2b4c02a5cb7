"""Imports from the command line."""

from pathlib import Path

import pytest

LEADS_MAP = "name: crm\ncolumns: {email: mail, created_at: day}\n"
SENDS_MAP = (
    "columns: {email: mail, handed_over_at: day}\n"
    "constants: {sequence_id: old, step_id: first, channel: email, sender: hello}\n"
)


def fake_import(folder: Path) -> tuple[Path, Path]:
    (folder / "crm.csv").write_text("mail,day\nb@example.com,2025-12-01\n")
    (folder / "crm.yml").write_text(LEADS_MAP)
    return folder / "crm.csv", folder / "crm.yml"


@pytest.mark.parametrize("kind", ["leads", "enrollments", "sends", "events"])
def test_json_of_an_import_counts_its_rows(drip, started, kind):
    data, mapping = fake_import(started)
    texts = {
        "leads": LEADS_MAP,
        "enrollments": "columns: {email: mail, enrolled_at: day}\nconstants: {sequence_id: old}\n",
        "sends": SENDS_MAP,
        "events": "columns: {email: mail, occurred_at: day}\nconstants: {kind: replied}\n",
    }
    mapping.write_text(texts[kind])
    told = drip("import", kind, data, "--map", mapping, "--json")
    assert told.code == 0
    assert told.json() == {"read": 1, "landed": 1, "rejected": 0, "rejects_path": None}
