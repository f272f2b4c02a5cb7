"""Shipped templates, new sequences from them, copies that keep every comment."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.sequences.check import check_folder, inspect_folder
from pipeline.sequences.library import (
    SHIPPED,
    duplicate_sequence,
    experiment_ids,
    list_templates,
    new_sequence,
    rewrite,
)
from pipeline.sequences.presets import PRESETS
from pipeline.settings import DripError

Write = Callable[..., Path]
STARTING = Path(__file__).resolve().parents[2] / "sequences"
TESTED = """
# A sequence of ours.
name: Ours   # as people call it
status: active   # runs
steps:
  - id: hello
    channel: email
    subject: "Hi"
    body: templates/a.md   # shared
    experiment:   # the first
      id: 'hello_1'   # for ever
      control: a
      metric: replied
      variants: [{id: a}, {id: b, subject: Other}]
  - id: way
    branch:
      - steps:
          - {id: sub, channel: sms, text: Hi, experiment: {id: sub_1, control: a, metric: replied, variants: [{id: a}, {id: b, text: Ho}]}}
"""


def test_there_is_a_template_for_every_category() -> None:
    assert {template.category for template in list_templates()} == set(PRESETS)
    assert all(template.description for template in list_templates())


@pytest.mark.parametrize("template", [t.name for t in list_templates()])
def test_every_template_runs_in_the_starting_workspace_without_a_word_of_advice(
    template: str, tmp_path: Path
) -> None:
    (tmp_path / "workspace.yml").write_text((STARTING / "workspace.yml").read_text())
    created = new_sequence(tmp_path, "mine", template, taken=())
    assert created[0] == tmp_path / "mine.yml"
    assert all(path.is_file() for path in created)
    assert check_folder(tmp_path) == []
    _, (sequence,) = inspect_folder(tmp_path)
    assert sequence.status == "draft"
    comments = (SHIPPED / f"{template}.yml").read_text().count("#")
    assert created[0].read_text().count("#") == comments > 0


def test_nothing_is_overwritten(write: Write) -> None:
    folder = write({"mine.yml": "# mine\n", "templates/other/first.md": "Mine."})
    for name in ("mine", "workspace", "other"):
        with pytest.raises(DripError, match="is there already"):
            new_sequence(folder, name, "one_message", taken=())
    assert (folder / "mine.yml").read_text() == "# mine\n"
    assert (folder / "templates/other/first.md").read_text() == "Mine."
    assert not (folder / "other.yml").exists()
    with pytest.raises(DripError, match="Templates: cold_outreach"):
        new_sequence(folder, "x", "nothing", taken=())
    with pytest.raises(DripError, match="is no id"):
        new_sequence(folder, "../x", "one_message", taken=())


def test_a_copy_keeps_comments_and_shares_texts_but_not_name_status_and_experiments(
    write: Write,
) -> None:
    folder = write({"old.yml": TESTED})
    path, renamed = duplicate_sequence(folder, "old", "next", taken={"next_hello_1"})
    assert renamed == {"hello_1": "next_hello_2", "sub_1": "next_sub_1"}
    expected = TESTED.replace("Ours ", "next ").replace("active", "draft")
    expected = expected.replace("'hello_1'", "'next_hello_2'").replace(
        "id: sub_1", "id: next_sub_1"
    )
    assert path.read_text() == expected
    assert experiment_ids(folder) == {"hello_1", "sub_1", "next_hello_2", "next_sub_1"}


def test_a_copy_of_a_copy_has_ids_of_its_own_again(write: Write) -> None:
    folder = write({"old.yml": TESTED})
    for old, new in (("old", "a"), ("a", "b"), ("old", "c")):
        duplicate_sequence(folder, old, new, taken=())
    assert len(experiment_ids(folder)) == 8
    with pytest.raises(DripError, match="is there already"):
        duplicate_sequence(folder, "old", "a", taken=())
    with pytest.raises(DripError, match="Sequences: a, b, c, old"):
        duplicate_sequence(folder, "nothing", "d", taken=())
    (folder / "bad.yml").write_text("a: [")
    with pytest.raises(DripError, match="drip check"):
        duplicate_sequence(folder, "bad", "d", taken=())


@pytest.mark.parametrize(
    "text",
    ["status: active", "status: 'active'  # x", 'a: 1\nstatus:   "active"\nb: [ä, {c: d}]\n'],
)
def test_only_the_value_changes(text: str) -> None:
    changed = rewrite(text, {("status",): "draft"})
    assert changed == text.replace("active", "draft")
    assert YAML().load(changed)["status"] == "draft"


def test_a_value_that_is_not_on_the_line_of_its_key_is_left_to_people() -> None:
    with pytest.raises(DripError, match="line"):
        rewrite("status: >-\n  active\n", {("status",): "draft"})
