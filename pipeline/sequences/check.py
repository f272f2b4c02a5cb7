"""`drip check`: every problem of the sequences folder, errors and advice, by file and line.

Belongs here: collecting, and warnings about what runs but is unwise. Does not: errors (`compile` and
below find them, so that the engine refuses the same files).
"""

from collections.abc import Iterator
from pathlib import Path

from pipeline.sequences.compile import WORKSPACE_FILE, read_folder
from pipeline.sequences.compiled import CompiledSequence, CompiledStep
from pipeline.sequences.model import Workspace
from pipeline.sequences.problems import Problem

# Phones show about fifty characters of a subject (requirements.md 113).
LONGEST_SUBJECT = 50
# Three parts of a text message; more is refused by some gateways, and paid for by each part.
LONGEST_TEXT = 480

__all__ = ["Problem", "check_folder"]


def check_folder(folder: Path) -> list[Problem]:
    """Find all problems of the folder, in the order of files and lines; empty when all is well."""
    workspace, sequences, problems = read_folder(folder)
    if workspace:
        problems.extend(_advise_workspace(workspace))
    for sequence in sequences:
        problems.extend(_advise(sequence))
    return sorted(set(problems))


def _advise_workspace(workspace: Workspace) -> Iterator[Problem]:
    if not workspace.address.strip():
        message = "no postal address: many countries ask for one in each mail: add `address:`"
        yield Problem(WORKSPACE_FILE, 1, "address", message, "warning")


def _advise(sequence: CompiledSequence) -> Iterator[Problem]:
    file = f"{sequence.sequence_id}.yml"
    if sequence.status == "active" and sequence.enroll_when_sql is None:
        message = "active, but nobody is enrolled: write `when: lead.source = 'META'` or the like"
        yield Problem(file, 1, "enroll.when", message, "warning")
    for step in sequence.steps:
        for message in _advise_step(step):
            yield Problem(file, 1, f"step {step.step_id}", message, "warning")


def _advise_step(step: CompiledStep) -> Iterator[str]:
    subject, text = step.content.get("subject", ""), step.content.get("text", "")
    if len(subject) > LONGEST_SUBJECT and "{{" not in subject:
        yield f"the subject has {len(subject)} characters, phones show {LONGEST_SUBJECT}: shorten"
    if len(text) > LONGEST_TEXT:
        yield f"the text has {len(text)} characters, more than three messages: shorten it"
    test = step.experiment
    if test and test.varies == "content":
        changed = [variant for variant in test.variants if variant.content]
        if len(changed) + 1 < len(test.variants):
            yield f"experiment {test.experiment_id}: two variants say the same: change one"
