"""What an experiment is, for ever: registered once, and whether a file still says the same.

Belongs here: the definition of a test as stored in the ledger, its fingerprint, what has changed
since. Does not: what makes a test one (`sequences.experiments`), drawing (`assignment`).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from pipeline.ledger.statements import fetch_value
from pipeline.ledger.store import ledger_path, open_ledger
from pipeline.sequences.check import find_step_paths
from pipeline.sequences.compile import read_folder
from pipeline.sequences.compiled import CompiledSequence, CompiledStep, words_of
from pipeline.sequences.model import Workspace
from pipeline.sequences.problems import Problem
from pipeline.sequences.yaml_file import YamlFile, read_yaml

HOLDOUT_ARM = "(holdout)"
_WORDS = {
    "sequence_id": "the sequence",
    "step_id": "the step",
    "varies": "what it varies",
    "metric": "the metric",
    "window_seconds": "the window",
    "unit": "the unit",
    "control": "the control",
}


def definition_of(sequence_id: str, step: CompiledStep) -> dict[str, Any]:
    """Return what may not change once somebody was drawn: place, arms with their words, metric.

    Weights, share and the rule of the decision are not part of it (R14).
    """
    test = step.experiment
    if test is None:
        return {}
    arms = {}
    for variant in test.variants:
        channel, content = words_of(step, variant.arm)
        arms[variant.arm] = {
            "channel": channel,
            "content": dict(content),
            "sender": variant.sender,
            "delay": asdict(variant.delay) if variant.delay else None,
            "hours": variant.windows,
            "is_present": variant.is_present,
        }
    return {
        "sequence_id": sequence_id,
        "step_id": step.step_id,
        "varies": test.varies,
        "metric": test.metric,
        "window_seconds": test.window_seconds,
        "unit": test.unit,
        "control": test.control,
        "arms": arms,
    }


def write_definition(definition: Mapping[str, Any]) -> str:
    """Return the definition as canonical JSON: equal tests give equal text."""
    return json.dumps(definition, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def fingerprint_of(sequence_id: str, step: CompiledStep) -> str:
    """Return the name of the definition: equal tests have equal ones."""
    text = write_definition(definition_of(sequence_id, step))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def tell_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Say in words what two definitions differ in; empty when they are equal."""
    told = [
        f"{words} ({before.get(name)} became {after[name]})"
        for name, words in _WORDS.items()
        if before.get(name) != after[name]
    ]
    old, new = before.get("arms", {}), json.loads(write_definition(after))["arms"]
    told += [f"arm {arm} is new" for arm in new.keys() - old.keys()]
    told += [f"arm {arm} is gone" for arm in old.keys() - new.keys()]
    told += [
        f"{name} of arm {arm}"
        for arm in sorted(old.keys() & new.keys())
        for name in _differences(old[arm], new[arm])
    ]
    return told


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    texts = {**old["content"], **new["content"]}
    for name in sorted(texts):
        if old["content"].get(name) != new["content"].get(name):
            yield f"the {name.removesuffix('_text')}"
    for name, words in (
        ("channel", "the channel"),
        ("sender", "the sender"),
        ("delay", "the delay"),
        ("hours", "the hours"),
        ("is_present", "the presence"),
    ):
        if old[name] != new[name]:
            yield words


def register_experiments(
    con: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    sequences: Sequence[CompiledSequence],
    now: datetime,
) -> dict[str, str | None]:
    """Register new experiments, and anew those that changed before anybody was drawn.

    Once there are assignments the stored definition stays: a step that says something else under
    the same id is no part of the test (`is_void`). Must run inside a transaction.

    Returns:
        Fingerprint by experiment; None for imported history.
    """
    stored: dict[str, str | None] = dict(
        con.execute("select experiment_id, fingerprint from experiments").fetchall()
    )
    for sequence in sequences:
        for step in sequence.steps:
            if step.experiment is None:
                continue
            experiment_id = step.experiment.experiment_id
            fingerprint = fingerprint_of(sequence.sequence_id, step)
            if experiment_id in stored:
                if stored[experiment_id] in (None, fingerprint) or _is_drawn(con, experiment_id):
                    continue
                con.execute("delete from experiments where experiment_id = ?", [experiment_id])
                con.execute("delete from arms where experiment_id = ?", [experiment_id])
            held_out = 0.0
            if has_held_out_arm(sequence.steps, step):
                held_out = whole_holdout(workspace, sequence)
            _register(con, sequence, step, fingerprint, held_out, now)
            stored[experiment_id] = fingerprint
    return stored


def _is_drawn(con: duckdb.DuckDBPyConnection, experiment_id: str) -> bool:
    question = "select exists (from assignments where experiment_id = ?)"
    return bool(fetch_value(con, question, [experiment_id]))


def _register(
    con: duckdb.DuckDBPyConnection,
    sequence: CompiledSequence,
    step: CompiledStep,
    fingerprint: str,
    held_out: float,
    now: datetime,
) -> None:
    test = step.experiment
    if test is None:
        return
    con.execute(
        """
        insert into experiments by name
        select
            $experiment_id as experiment_id, $sequence_id as sequence_id, $step_id as step_id,
            $varies as varies, $metric as metric, $window_seconds as window_seconds,
            $mode as mode, $planned_leads as planned_leads, $alpha as alpha, $is_auto as is_auto,
            $now as registered_at, 'live' as origin, $unit as unit, $allocation as allocation,
            $definition as definition, $fingerprint as fingerprint,
            $guardrails::varchar[] as guardrails, $expected_loss as expected_loss, $margin as margin
        """,
        {
            "experiment_id": test.experiment_id,
            "sequence_id": sequence.sequence_id,
            "step_id": step.step_id,
            "varies": test.varies,
            "metric": test.metric,
            "window_seconds": test.window_seconds,
            "mode": test.mode,
            "planned_leads": test.planned_leads,
            "alpha": test.alpha,
            "is_auto": test.is_auto,
            "now": now,
            "unit": test.unit,
            "allocation": test.allocation,
            "definition": write_definition(definition_of(sequence.sequence_id, step)),
            "fingerprint": fingerprint,
            "guardrails": list(test.guardrails),
            "expected_loss": test.expected_loss,
            "margin": test.margin,
        },
    )
    con.executemany("insert into arms values (?, ?, ?, ?, ?)", _arm_rows(step, held_out))


def _arm_rows(step: CompiledStep, held_out: float) -> list[list[object]]:
    test = step.experiment
    if test is None:
        return []
    rows: list[list[object]] = [
        [
            test.experiment_id,
            variant.arm,
            "control" if variant.arm == test.control else "treatment",
            variant.weight * (1 - held_out),
            variant.delay.amount
            if variant.delay and variant.delay.unit == "seconds"
            else (variant.delay.amount * 86400 if variant.delay else None),
        ]
        for variant in test.variants
    ]
    if held_out > 0:
        rows.append([test.experiment_id, HOLDOUT_ARM, "held_out", held_out, None])
    return rows


def has_held_out_arm(steps: Sequence[CompiledStep], step: CompiledStep) -> bool:
    """Tell whether held-out leads belong to the step's test.

    Only on the first contact: a held-out lead gets one ghost and leaves (R12). And only where leads
    are drawn one by one, since leads are held out one by one.
    """
    test = step.experiment
    return test is not None and test.unit == "lead" and step.ix == first_contact_ix(steps)


def whole_holdout(workspace: Workspace, sequence: CompiledSequence | None) -> float:
    """Return the share that is never contacted, by the workspace or by the sequence."""
    of_sequence = sequence.holdout if sequence else 0.0
    # Written so that one of them alone is exact.
    return workspace.holdout + of_sequence - workspace.holdout * of_sequence


def first_contact_ix(steps: Sequence[CompiledStep]) -> int:
    """Return the step that every lead is contacted by first; -1 when a branch comes before."""
    for step in steps:
        if step.kind in ("branch", "wait_for"):
            return -1
        if step.channel:
            return step.ix
    return -1


def is_void(stored: Mapping[str, str | None], sequence_id: str, step: CompiledStep) -> bool:
    """Tell whether a step's test is another one than the ledger knows under that id."""
    test = step.experiment
    if test is None:
        return False
    return stored.get(test.experiment_id) != fingerprint_of(sequence_id, step)


def check_definitions(home: Path, folder: Path) -> list[Problem]:
    """Find the experiments of the folder that changed although somebody was drawn for them.

    Args:
        home: the workspace's stores; without a ledger in it nothing can have changed.
        folder: the sequences; files that cannot be read have been told of elsewhere.

    Raises:
        DripError: the ledger is damaged or stays busy.
    """
    _, sequences, _ = read_folder(folder)
    tested = [(s, step) for s in sequences for step in s.steps if step.experiment]
    if not tested or not ledger_path(home).exists():
        return []
    with open_ledger(home, read_only=True) as con:
        stored = {
            experiment_id: (definition, count)
            for experiment_id, definition, count in con.execute(
                "select e.experiment_id, any_value(e.definition), count(a.unit_id) "
                "from experiments as e inner join assignments as a using (experiment_id) group by 1"
            ).fetchall()
        }
    problems = [
        _problem(folder, sequence, step, *stored[step.experiment.experiment_id])
        for sequence, step in tested
        if step.experiment and step.experiment.experiment_id in stored
    ]
    return [problem for problem in problems if problem]


def _problem(
    folder: Path, sequence: CompiledSequence, step: CompiledStep, definition: str | None, count: int
) -> Problem | None:
    name = f"{sequence.sequence_id}.yml"
    source = read_yaml(folder / name, name)
    if step.experiment is None or not isinstance(source, YamlFile):
        return None
    if definition is None:
        told = ["it is the id of an imported experiment"]
    else:
        told = tell_changes(json.loads(definition), definition_of(sequence.sequence_id, step))
    if not told:
        return None
    paths = dict(find_step_paths(source.data["steps"], ("steps",)))
    message = (
        f"experiment {step.experiment.experiment_id!r} has {count} units, and since then changed: "
        f"{'; '.join(told)}. An id names one test for ever: write a new id, or put back what was"
    )
    return source.problem((*paths[step.step_id], "experiment", "id"), message)
