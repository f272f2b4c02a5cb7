"""Promoting an arm: the step says what it varied, the experiment goes, every other byte stays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sequences.promote import find_experiment, promote_arm
from pipeline.sequences.yaml_file import read_yaml
from pipeline.settings import DripError

TEXT = """\
# why it is there
status: active
steps:
  - id: welcome   # the first
    channel: email
    subject: >-
      Welcome,
      {{ first_name }}
    # what is tested
    experiment:
      id: subject_1
      control: a

      # two of them
      metric: replied
      variants:
        - {id: a}
        - {id: b, subject: "Quick: {{ first_name }}", after: {since: enrollment, delay: 2h}}
        - id: gone
          present: false
        - {id: early, hours: "08:00-09:00"}

    # the text
    body: templates/welcome.md
  - id: way
    branch:
      - steps:
          - subject: Old
            experiment: {id: subject_2, metric: replied, variants: [{id: x, subject: New}, {id: y}]}
            channel: email
            id: inner
"""


def promoted(folder, experiment_id, arm, text=TEXT):
    (folder / "one.yml").write_text(text)
    promote_arm(find_experiment(folder, experiment_id), arm)
    return (folder / "one.yml").read_text()


def test_what_the_arm_varies_becomes_the_steps_own_and_comments_stay(tmp_path):
    assert promoted(tmp_path, "subject_1", "b") == TEXT.replace(
        "    subject: >-\n      Welcome,\n      {{ first_name }}\n",
        '    subject: "Quick: {{ first_name }}"\n',
    ).replace(
        TEXT[TEXT.index("    experiment:\n") : TEXT.index("\n    # the text")],
        '    after: {"since": "enrollment", "delay": "2h"}\n',
    )


def test_the_control_only_loses_the_experiment(tmp_path):
    found = promoted(tmp_path, "subject_1", "a")
    assert found == TEXT.replace(
        TEXT[TEXT.index("    experiment:\n") : TEXT.index("\n    # the text")], ""
    )


def test_a_step_in_a_branch_whose_first_key_is_replaced(tmp_path):
    found = promoted(tmp_path, "subject_2", "x")
    tail = TEXT.splitlines(keepends=True)[-3]
    assert found == TEXT.replace("- subject: Old", '- subject: "New"').replace(tail, "")


@pytest.mark.parametrize(
    ("experiment_id", "arm", "message"),
    [
        pytest.param("subject_9", "a", "Known: subject_1, subject_2", id="experiment"),
        pytest.param("subject_1", "z", "Known: a, b, gone, early", id="arm"),
        pytest.param("subject_1", "gone", "remove the step", id="absent"),
        pytest.param("subject_1", "early", "calendar", id="hours"),
    ],
)
def test_what_cannot_be_promoted_is_left_as_it_is(tmp_path, experiment_id, arm, message):
    with pytest.raises(DripError, match=message):
        promoted(tmp_path, experiment_id, arm)
    assert (tmp_path / "one.yml").read_text() == TEXT


def test_a_file_in_an_unusual_form_is_left_as_it_is(tmp_path):
    text = json.dumps(read(tmp_path, TEXT))
    with pytest.raises(DripError, match="unusual form: write what arm b varies"):
        promoted(tmp_path, "subject_1", "b", text)
    assert (tmp_path / "one.yml").read_text() == text


def read(folder, text):
    (folder / "read.txt").write_text(text)
    return read_yaml(folder / "read.txt", "read.txt").data


@given(st.text(min_size=1), st.sampled_from(["subject", "sender"]))
def test_any_text_arrives_as_it_was(tmp_path_factory, value, key):
    folder = tmp_path_factory.mktemp("any")
    # Control characters are no YAML in the first place.
    value = "".join(c for c in value if c.isprintable())
    text = TEXT.replace(
        'subject: "Quick: {{ first_name }}"', f"{key}: {json.dumps(value, ensure_ascii=False)}"
    )
    after = read(folder, promoted(folder, "subject_1", "b", text))
    step = after["steps"][0]
    assert step[key] == value
    assert "experiment" not in step
