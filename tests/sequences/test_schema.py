"""The page of all fields is what the models say, and every example on it runs."""

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from pipeline.sequences.compile import read_folder
from pipeline.sequences.experiments import CONTENT_FIELDS
from pipeline.sequences.model import SequenceFile, StepFile
from pipeline.sequences.schema import COMMON, KINDS, SECTIONS, json_schema, schema_page

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [*(ROOT / "sequences").glob("*.yml"), *ROOT.glob("pipeline/*/*/*.yml")]
SEQUENCES = [
    path for path in SHIPPED if "steps:" in path.read_text() and path.name != "workspace.yml"
]
Write = Callable[..., Path]


def plain(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text())


def test_the_page_in_docs_is_the_page_that_the_models_make() -> None:
    written = (ROOT / "docs" / "sequence.md").read_text(encoding="utf-8")
    assert written == schema_page(), "run `drip schema > docs/sequence.md`"


def test_every_field_of_a_step_belongs_to_a_kind() -> None:
    told = {name for kind in KINDS.values() for name in kind.fields} | set(COMMON)
    assert told == set(StepFile.model_fields)


def test_every_kind_of_message_is_told_with_the_texts_that_it_needs() -> None:
    for channel, texts in CONTENT_FIELDS.items():
        assert set(texts) <= set(KINDS[channel].fields), channel


def test_every_group_of_fields_has_a_heading() -> None:
    definitions = {n for n, d in json_schema()["$defs"].items() if "properties" in d}
    assert definitions - {"StepFile"} <= set(SECTIONS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_example_runs(kind: str, write: Write) -> None:
    welcome = "- {id: welcome, channel: email, subject: Hi, body: templates/welcome.md}\n"
    example = KINDS[kind].example.strip() + "\n"
    steps = ("" if "id: welcome" in example else welcome) + example
    senders = "".join(
        f'  {channel}: {{channel: {channel}, address: "Bo <bo@example.com>"}}\n'
        for channel in CONTENT_FIELDS
        if channel not in ("email", "sms", "webhook", "form")
    )
    senders += "  webhook: {channel: webhook, transport: hook}\n"
    senders += "  form: {channel: form, transport: hook}\n"
    transports = (
        "transports: {hook: {kind: http, url: https://a.example}, maildir: {kind: maildir}}\n"
    )
    folder = write({"s.yml": "steps:\n" + indent(steps, "  "), "templates/welcome.md": "Hello."})
    path = folder / "workspace.yml"
    path.write_text(path.read_text().replace("goals:", senders + transports + "goals:"))
    _, sequences, problems = read_folder(folder)
    assert problems == []
    assert len(sequences) == 1


@pytest.mark.parametrize("path", SEQUENCES, ids=lambda path: path.stem)
def test_every_shipped_sequence_keeps_the_schema_for_editors(path: Path) -> None:
    Draft202012Validator(json_schema()).validate(plain(path))


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": [{"id": "a", "after": "3 days"}]},
        {"steps": [{"id": "a"}], "calendar": {"hours": 9}},
        {"steps": [{"id": "a"}], "calendar": {"days": ["monday"]}},
        {"steps": [{"id": "a"}], "react": {"replied": {"do": "halt"}}},
        {"steps": [{"id": "a"}], "enroll": {"holdout": 0.1}},
        {"stepps": []},
    ],
    ids=str,
)
def test_an_editor_marks_what_is_wrong(wrong: dict[str, Any]) -> None:
    assert not Draft202012Validator(json_schema()).is_valid(wrong)


def test_defaults_are_shown_as_people_write_them() -> None:
    page = schema_page()
    assert re.search(r"`backoff` \| span.* \| `1m` \|", page)
    assert re.search(r"`holdout` \| share such as `10%` \| `0%` \|", page)
    assert re.search(r"`days` \| list of `mon` … `sun` \| `mon, tue, wed, thu, fri` \|", page)
    assert re.search(r"`hours` \| .* \| `09:00-17:00` \|", page)
    assert all(f"`{name}`" in page for name in SequenceFile.model_fields)
