"""Subject lines to try, put together from phrases that brought more answers in this workspace.

Belongs here: choosing phrases for a subject, and the variant as YAML for a person to read. Does
not: judging phrases (`words`), writing files, sending: what is drafted goes nowhere by itself.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import polars as pl

from pipeline.analysis.wording import PLACES, read_wording
from pipeline.analysis.words import LEAST_TESTS, RANDOMISED
from pipeline.sequences.compile import read_folder
from pipeline.sequences.compiled import CompiledSequence, CompiledStep
from pipeline.settings import DripError, Settings
from pipeline.warehouse.read import open_warehouse

MOST_DRAFTS = 3


@dataclass(frozen=True)
class Draft:
    """A subject line, and what is known of the phrase that makes it.

    Lifts are relative and shrunken: what to expect, with its 95 % interval.
    """

    subject: str
    phrase: str
    lift: float
    lift_low: float
    lift_high: float
    count_tests: int

    @property
    def evidence(self) -> str:
        """What speaks for it, in words."""
        lift, low, high = (
            f"{100 * value:+.0f}" for value in (self.lift, self.lift_low, self.lift_high)
        )
        return f"“{self.phrase}”: {lift} % ({low} to {high} %), {self.count_tests} tests"


def propose_subjects(settings: Settings, sequence_id: str, step_id: str) -> dict[str, Any]:
    """Return the variant for a step of the folder, from the published warehouse.

    Raises:
        DripError: there is no such mail without a test, or no phrase that helps is known yet.
        NothingPublished: no refresh has been published.
    """
    _, sequences, _ = read_folder(settings.sequences)
    step = _find_step(sequences, sequence_id, step_id)
    goal = next(one.goal_name for one in sequences if one.sequence_id == sequence_id)
    subject = step.content["subject"]
    with open_warehouse(settings.home) as con:
        words = con.sql("from analysis.word_effects").pl()
        used = {
            name for (name,) in con.sql("select experiment_id from marts.experiments").fetchall()
        }
    used |= {one.experiment.experiment_id for s in sequences for one in s.steps if one.experiment}
    for metric in ("replied", f"goal({goal})", "clicked"):
        drafts = draft_subjects(words, subject, metric)
        if drafts:
            names = (f"{step_id}_words_{number}" for number in count(1))
            experiment_id = next(name for name in names if name not in used)
            avoid = phrases_to_avoid(words, subject, metric)
            return {
                "subject": subject,
                "metric": metric,
                "experiment_id": experiment_id,
                "drafts": [asdict(draft) for draft in drafts],
                "avoid": avoid,
                "yaml": write_variants(step_id, experiment_id, metric, drafts, avoid),
            }
    raise DripError(
        f"No phrase is known yet that brings more answers than {subject!r}: it takes {LEAST_TESTS} "
        "tests whose subjects differ in it. Test subjects, and see `Words` in `drip report`."
    )


def _find_step(
    sequences: Sequence[CompiledSequence], sequence_id: str, step_id: str
) -> CompiledStep:
    steps = [step for one in sequences if one.sequence_id == sequence_id for step in one.steps]
    if not steps:
        names = ", ".join(sorted(one.sequence_id for one in sequences)) or "none"
        raise DripError(f"No sequence {sequence_id!r} can be read. There are: {names}.")
    mails = [step for step in steps if "subject" in step.content]
    found = next((step for step in mails if step.step_id == step_id), None)
    if found is None:
        names = ", ".join(step.step_id for step in mails) or "none"
        raise DripError(f"{sequence_id} has no mail {step_id!r}. Its mails: {names}.")
    if found.experiment:
        raise DripError(
            f"{step_id} has the test {found.experiment.experiment_id!r} already: end that one "
            "first, since a test cannot get another variant."
        )
    return found


def usable_phrases(words: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return what tests have found of subjects of email for this metric, over all contacts.

    Args:
        words: analysis.word_effects.
        metric: that the new variant is to raise.
    """
    return words.filter(
        "is_found",
        pl.col("evidence_label") == RANDOMISED,
        pl.col("channel") == "email",
        pl.col("part") == "subject",
        pl.col("metric") == metric,
        pl.col("contact_no").is_null(),
    ).sort("lift", "feature", descending=[True, False])


def draft_subjects(words: pl.DataFrame, subject: str, metric: str) -> list[Draft]:
    """Return subjects made of this one and the best phrases that it does not have.

    A phrase goes in front, or to the end when tests have found its first word better there.
    """
    found = usable_phrases(words, metric)
    there = {name for kind, name in read_wording(subject).features if kind == "phrase"}
    lifts: dict[str, float] = dict(
        found.filter(pl.col("kind") == "place").select("feature", "lift").iter_rows()
    )
    drafts: list[Draft] = []
    for row in found.filter(pl.col("kind") == "phrase", pl.col("lift") > 0).to_dicts():
        phrase = row["feature"]
        # A part of a phrase that is drafted already would be the same draft again.
        if phrase in there or any(phrase in draft.phrase for draft in drafts):
            continue
        first, _, last = (f"{phrase.split()[0]} · {place}" for place in PLACES)
        is_last = lifts.get(last, 0.0) > lifts.get(first, 0.0)
        drafts.append(
            Draft(
                subject=_join(subject, phrase, is_last=is_last),
                phrase=phrase,
                lift=row["lift"],
                lift_low=row["lift_low"],
                lift_high=row["lift_high"],
                count_tests=row["count_tests"],
            )
        )
    return drafts[:MOST_DRAFTS]


def phrases_to_avoid(words: pl.DataFrame, subject: str, metric: str) -> list[str]:
    """Return the phrases of a subject that tests have found to bring less, the worst first."""
    there = read_wording(subject).features
    found = usable_phrases(words, metric).filter(pl.col("lift") < 0).reverse()
    return [row["feature"] for row in found.to_dicts() if (row["kind"], row["feature"]) in there]


def write_variants(
    step_id: str,
    experiment_id: str,
    metric: str,
    drafts: Sequence[Draft],
    avoid: Sequence[str] = (),
) -> str:
    """Return the experiment as YAML, to be put under the step by a person."""
    return "\n".join(_lines(step_id, experiment_id, metric, drafts, avoid)) + "\n"


def _lines(
    step_id: str, experiment_id: str, metric: str, drafts: Sequence[Draft], avoid: Sequence[str]
) -> Iterator[str]:
    yield f"# For step {step_id}. Put together by machine: read it, make it yours, put it"
    yield "# under the step, run `drip check`. Nothing is sent; a test decides what is better."
    if avoid:
        yield f"# In the subject now, and found to bring less: {', '.join(avoid)}."
    yield "experiment:"
    yield f"  id: {experiment_id}"
    yield "  control: now"
    yield f"  metric: {metric}"
    yield "  variants:"
    yield "    - {id: now}"
    for number, draft in enumerate(drafts, start=1):
        yield f"    # {draft.evidence}"
        subject = json.dumps(draft.subject, ensure_ascii=False)
        yield f"    - {{id: draft_{number}, subject: {subject}}}"


def _join(subject: str, phrase: str, *, is_last: bool) -> str:
    if is_last:
        return f"{subject.rstrip(' .!?')}: {phrase}"
    rest = subject
    # Names and what is put in keep their capital; a plain first word loses it.
    word = subject.split(" ", 1)[0]
    if word.isalpha() and word[1:].islower() and len(word) > 1:
        rest = subject[0].lower() + subject[1:]
    return f"{phrase[0].upper()}{phrase[1:]}: {rest}"
