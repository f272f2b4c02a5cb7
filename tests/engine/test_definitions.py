"""An experiment's id names one test for ever: what changed is told, and is no part of the test."""

import json
from dataclasses import replace

import pytest

from pipeline.engine.definitions import (
    check_definitions,
    definition_of,
    fingerprint_of,
    is_void,
    tell_changes,
)
from pipeline.sequences.check import inspect_folder
from pipeline.sequences.compiled import CompiledStep, Delay, Experiment, Variant
from tests.engine.conftest import World

STEP = """  - id: a
    channel: email
    subject: {subject}
    body: templates/hello.md
    experiment:
      id: test_1
      control: x
      metric: {metric}
      window: {window}
      {more}variants:
        - {{id: x}}
        - {{id: y, subject: {other}}}
"""
PLAIN = {"subject": "Hi", "metric": "replied", "window": "3d", "more": "", "other": "Other"}


def write(world: World, **changed: str) -> None:
    world.sequence("one", STEP.format(**PLAIN | changed))


def told(world: World) -> list[str]:
    return [p.message for p in check_definitions(world.home, world.folder)]


def begin(world: World) -> None:
    write(world)
    world.leads(10)
    world.tick()


EXPERIMENT = Experiment(
    "test_1", "x", 1.0, "replied", 86400, "open", None, 0.05, False, "content",
    (Variant("x", 0.5), Variant("y", 0.5, {"subject": "Other"})),
)  # fmt: skip
TESTED = CompiledStep(
    0, "a", "email", channel="email", content={"subject": "Hi"}, experiment=EXPERIMENT
)


def with_arm(**changed: object) -> CompiledStep:
    variants = (EXPERIMENT.variants[0], replace(EXPERIMENT.variants[1], **changed))  # type: ignore[arg-type]
    return replace(TESTED, experiment=replace(EXPERIMENT, variants=variants))


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (with_arm(content={"subject": "More"}), "the subject of arm y"),
        (with_arm(sender="boss"), "the sender of arm y"),
        (with_arm(delay=Delay("days", 1)), "the delay of arm y"),
        (with_arm(windows=((540, 600),)), "the hours of arm y"),
        (with_arm(is_present=False), "the presence of arm y"),
        (with_arm(arm="z"), "arm z is new"),
        (replace(TESTED, content={"subject": "Ho"}), "the subject of arm x"),
        (replace(TESTED, step_id="b"), "the step (a became b)"),
        (
            replace(TESTED, experiment=replace(EXPERIMENT, metric="clicked")),
            "the metric (replied became clicked)",
        ),
        (
            replace(TESTED, experiment=replace(EXPERIMENT, unit="account")),
            "the unit (lead became account)",
        ),
    ],
)
def test_every_change_of_the_definition_is_told_and_makes_it_another_test(
    after: CompiledStep, words: str
) -> None:
    # As the ledger gives it back.
    before = json.loads(json.dumps(definition_of("one", TESTED)))
    assert words in tell_changes(before, definition_of("one", after))
    assert is_void({"test_1": fingerprint_of("one", TESTED)}, "one", after)


def test_weights_share_and_the_rule_of_the_decision_may_change() -> None:
    changed = replace(EXPERIMENT, share=0.5, alpha=0.01, is_auto=True, planned_leads=100)
    after = replace(TESTED, experiment=changed)
    before = json.loads(json.dumps(definition_of("one", TESTED)))
    assert tell_changes(before, definition_of("one", after)) == []
    assert not is_void({"test_1": fingerprint_of("one", TESTED)}, "one", after)


def test_without_a_ledger_or_assignments_everything_may_change(world: World) -> None:
    write(world)
    assert told(world) == []
    world.tick()
    write(world, other="Changed")
    assert told(world) == []


def test_check_names_what_changed_where_and_what_to_do(world: World) -> None:
    begin(world)
    assert told(world) == []
    write(world, other="Changed", metric="clicked", window="4d")
    [problem] = check_definitions(world.home, world.folder)
    assert (problem.file, problem.field, problem.severity) == (
        "one.yml",
        "steps[0].experiment.id",
        "error",
    )
    assert "'test_1' has 10 units" in problem.message
    assert "the metric (replied became clicked)" in problem.message
    assert "the window (259200 became 345600)" in problem.message
    assert "the subject of arm y" in problem.message
    assert "write a new id" in problem.message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("subject: Hi", "subject: Ho", "the subject of arm x"),
        ("subject: Other", "subject: More", "the subject of arm y"),
        ("templates/hello.md", "templates/other.md", "the body of arm x; the body of arm y"),
        ("metric: replied", "metric: clicked", "the metric (replied became clicked)"),
        ("window: 3d", "window: 4d", "the window (259200 became 345600)"),
        ("control: x", "unit: account\n      control: x", "the unit (lead became account)"),
        ("control: x", "control: y", "the control (x became y)"),
        ("- {id: y,", "- {id: z, subject: Z}\n        - {id: y,", "arm z is new"),
        ("- {id: y,", "- {id: z,", "arm z is new; arm y is gone"),
        ("subject: Other", "sender: second", "the sender of arm y"),
        ("- id: a\n", "- id: b\n", "the step (a became b)"),
    ],
)
def test_check_refuses_whatever_makes_it_another_test(
    world: World, old: str, new: str, words: str
) -> None:
    begin(world)
    workspace = world.folder / "workspace.yml"
    text = workspace.read_text().replace(
        "senders:", "account: plan\nsenders:\n  second: {channel: email, address: b@example.com}"
    )
    workspace.write_text(f"{text}default_senders: {{email: sales}}\n")
    (world.folder / "templates" / "other.md").write_text("Something else.")
    file = world.folder / "one.yml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert inspect_folder(world.folder)[0] == [], "nothing else is wrong with the file"
    [problem] = check_definitions(world.home, world.folder)
    assert problem.severity == "error"
    assert words in problem.message


def test_check_refuses_an_id_that_moved_to_another_sequence(world: World) -> None:
    begin(world)
    (world.folder / "one.yml").rename(world.folder / "two.yml")
    [message] = told(world)
    assert "the sequence (one became two)" in message


def test_a_changed_test_is_none_for_new_leads_and_goes_on_for_those_before(world: World) -> None:
    begin(world)
    before = world.rows("select * from assignments order by unit_id")
    arms = world.rows("from arms order by all")
    write(world, other="Changed")
    world.land(leads=[{"email": f"v{i}@example.com", "source": "ONE"} for i in range(20)])
    world.tick()
    assert world.rows("select * from assignments order by unit_id") == before
    assert world.rows("from arms order by all") == arms
    # Everybody gets the words of the control, as leads outside a sample do.
    new = [m["Subject"] for m in world.mail() if str(m["To"]).startswith("v")]
    assert new == ["Hi"] * 20
    assert world.rows(
        "select distinct s.experiment_id, d.variant from sends as d "
        "inner join steps as s using (version_id, step_ix) order by all"
    ) == [("test_1", "x"), ("test_1", "y"), (None, "x")]
    write(world)
    world.land(leads=[{"email": f"w{i}@example.com", "source": "ONE"} for i in range(20)])
    world.tick()
    assert len(world.rows("from assignments")) == 30


def test_until_somebody_is_drawn_the_last_words_count(world: World) -> None:
    write(world)
    world.tick()
    write(world, other="Changed", metric="clicked")
    world.leads(20)
    world.tick()
    assert world.rows("select metric from experiments") == [("clicked",)]
    assert {m["Subject"] for m in world.mail()} == {"Hi", "Changed"}
    assert len(world.rows("from assignments")) == 20


def test_new_weights_touch_only_who_is_not_drawn_yet(world: World) -> None:
    begin(world)
    before = world.rows("select * from assignments order by unit_id")
    write(world, more="weights: {x: 10%, y: 90%}\n      ")
    assert told(world) == []
    world.land(leads=[{"email": f"v{i}@example.com", "source": "ONE"} for i in range(60)])
    world.tick()
    after = world.rows("select * from assignments order by unit_id")
    assert set(before) <= set(after)
    new = [row for row in after if row not in before]
    assert {round(row[3], 9) for row in new} <= {0.1, 0.9}
    assert len(new) == 60
