"""Drafts: phrases that tests have found, as a variant that `drip check` takes."""

import duckdb
import polars as pl
import pytest
from ruamel.yaml import YAML

from pipeline.analysis.drafts import (
    draft_subjects,
    phrases_to_avoid,
    propose_subjects,
    write_variants,
)
from pipeline.analysis.words import WORDS_SCHEMA
from pipeline.sequences.compile import read_folder
from pipeline.settings import DripError, load_settings
from pipeline.warehouse.paths import warehouse_path


def word(feature, lift, **changed):
    return {
        **dict.fromkeys(WORDS_SCHEMA),
        "evidence_label": "randomised",
        "channel": "email",
        "part": "subject",
        "metric": "replied",
        "kind": "phrase",
        "feature": feature,
        "count_tests": 25,
        "is_found": True,
        "lift": lift,
        "lift_low": lift - 0.05,
        "lift_high": lift + 0.05,
        **changed,
    }


def words(*rows):
    return pl.DataFrame(list(rows), schema=WORDS_SCHEMA)


FOUND = words(
    word("quick question", 0.2),
    word("quick", 0.18),
    word("for you", 0.1),
    word("for · last third", 0.1, kind="place"),
    word("trial", 0.05),
    word("ends soon", -0.2),
    word("free", -0.1),
    word("clicks", 0.9, metric="clicked"),
    word("body", 0.9, part="body"),
    word("early", 0.9, contact_no=2),
    word("seen", 0.9, evidence_label="not causal"),
)


def test_the_best_phrases_that_are_not_there_yet_make_new_subjects():
    drafts = draft_subjects(FOUND, "Your trial ends soon.", "replied")
    assert [draft.subject for draft in drafts] == [
        "Quick question: your trial ends soon.",
        "Your trial ends soon: for you",
    ]
    assert drafts[0].evidence == "“quick question”: +20 % (+15 to +25 %), 25 tests"
    assert phrases_to_avoid(FOUND, "Your trial ends soon.", "replied") == ["ends soon"]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("{{ first_name }}, hello", "Quick question: {{ first_name }}, hello"),
        ("GDPR news", "Quick question: GDPR news"),
        ("A word", "Quick question: A word"),
    ],
)
def test_what_is_put_in_and_capitals_that_mean_something_stay(subject, expected):
    assert draft_subjects(FOUND, subject, "replied")[0].subject == expected


def test_without_phrases_there_is_no_draft():
    assert draft_subjects(words(), "Hello", "replied") == []
    assert draft_subjects(FOUND, "Hello", "answered") == []


def test_the_variant_is_yaml_whatever_the_subject_says():
    subject = "Say \"no\": {{ name | default('#1') }}"
    drafts = draft_subjects(FOUND, subject, "replied")
    text = write_variants("hello", "hello_words_1", "replied", drafts, ["ends soon"])
    read = YAML(typ="safe").load(text)["experiment"]
    assert (read["id"], read["control"], read["metric"]) == ("hello_words_1", "now", "replied")
    assert [one["id"] for one in read["variants"]] == ["now", "draft_1", "draft_2", "draft_3"]
    assert read["variants"][1]["subject"] == drafts[0].subject
    assert "found to bring less: ends soon." in text


SEQUENCE = """
name: Welcome
status: draft
owner: ann
steps:
  - {id: hello, channel: email, sender: hello, subject: Your trial ends soon, body: templates/hi.md}
  - id: tested
    after: 3d
    channel: email
    sender: hello
    subject: Still there?
    body: templates/hi.md
    experiment:
      id: hello_words_1
      control: a
      metric: replied
      variants: [{id: a}, {id: b, subject: A word}]
"""
WORKSPACE = """
name: W
timezone: UTC
address: 1 Road
senders: {hello: {channel: email, address: "Ann <ann@example.com>"}}
"""


@pytest.fixture
def settings(tmp_path):
    folder = tmp_path / "sequences"
    folder.mkdir()
    (folder / "workspace.yml").write_text(WORKSPACE)
    (folder / "templates").mkdir()
    (folder / "templates" / "hi.md").write_text("Hi. {{ unsubscribe }}")
    (folder / "welcome.yml").write_text(SEQUENCE)
    return load_settings(home=tmp_path / "home", sequences=folder)


def publish(settings, frame):
    settings.home.mkdir()
    with duckdb.connect(str(warehouse_path(settings.home))) as con:
        con.execute("create schema analysis; create schema marts")
        con.register("rows", frame)
        con.execute("create table analysis.word_effects as from rows")
        con.execute("create table marts.experiments as select 'hello_words_2' as experiment_id")


def test_a_draft_fits_under_its_step_and_drip_check_takes_it(settings):
    publish(settings, FOUND)
    found = propose_subjects(settings, "welcome", "hello")
    # The first two ids are used, in the folder and in the warehouse: an id is used once, for ever.
    assert found["experiment_id"] == "hello_words_3"
    assert found["avoid"] == ["ends soon"]
    folder = settings.sequences
    before = (folder / "welcome.yml").read_text()
    yaml = YAML(typ="safe")
    data = yaml.load(before)
    data["steps"][0] |= yaml.load(found["yaml"])
    with (folder / "welcome.yml").open("w") as file:
        yaml.dump(data, file)
    _, sequences, problems = read_folder(folder)
    assert problems == []
    variants = sequences[0].steps[0].experiment.variants
    assert variants[1].content["subject"] == "Quick question: your trial ends soon"


@pytest.mark.parametrize(
    ("sequence", "step", "said"),
    [
        ("other", "hello", "There are: welcome"),
        ("welcome", "nothing", "Its mails: hello, tested"),
        ("welcome", "tested", "end that one first"),
        ("welcome", "hello", "it takes 20 tests"),
    ],
)
def test_what_cannot_be_drafted_says_why(settings, sequence, step, said):
    publish(settings, words())
    with pytest.raises(DripError, match=said):
        propose_subjects(settings, sequence, step)


def test_the_command_prints_the_variant(settings, drip, tmp_path, monkeypatch):
    publish(settings, FOUND)
    told = drip("draft", "welcome", "hello")
    assert told.code == 0
    assert 'subject: "Quick question: your trial ends soon"' in told.out
    assert drip("draft", "welcome", "hello", "--json").json()["metric"] == "replied"
    assert drip("draft", "welcome", "tested").code == 1
