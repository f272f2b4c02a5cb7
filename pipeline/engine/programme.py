"""The programme of a tick: every version that still has leads in it, as relations to join with.

Belongs here: registering new versions and experiments, and the relations `step`, `arm_range`,
`reaction` that the set-based statements read. Does not: any decision about a lead (`plan`,
`enroll`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

import duckdb
import polars as pl

from pipeline.engine.arm_weights import Weights, choose_weights, read_arm_weights
from pipeline.engine.definitions import (
    has_held_out_arm,
    is_void,
    register_experiments,
    whole_holdout,
)
from pipeline.engine.pauses import read_halted
from pipeline.engine.preferred_scores import Scores, read_hour_scores
from pipeline.engine.registry import register_prices, register_sequences
from pipeline.engine.rulings import RULING
from pipeline.engine.waits import create_waits
from pipeline.ledger.serials import draw_numbers
from pipeline.ledger.statements import fetch_value
from pipeline.sequences.compiled import (
    CompiledSequence,
    CompiledStep,
    Variant,
    compile_from_json,
)
from pipeline.sequences.model import REACTIONS, Workspace

# More steps than bits of a mask cannot be compiled; 64 keeps (version, step) in one integer.
STEP_SPAN = 64
_LONGEST_CASE = 3


@dataclass(frozen=True)
class Programme:
    """What the files say now, and the steps of every version that a running enrollment is on."""

    workspace: Workspace
    sequences: tuple[CompiledSequence, ...]
    version_ids: dict[str, int]
    steps: dict[int, tuple[CompiledStep, ...]]
    is_halted: bool = False
    halted: frozenset[str] = frozenset()
    hour_scores: Scores = field(default_factory=dict)

    def is_running(self, sequence_id: str) -> bool:
        """Return whether no pause is in force over it: a file's, an operator's, everything's."""
        return not self.is_halted and sequence_id not in self.halted

    @cached_property
    def varied(self) -> frozenset[str]:
        """What the tests on all these steps vary, and `step_holdout` where a step has one.

        `sender` stands beside `content` where arms differ in it.
        """
        tests = [step.experiment for steps in self.steps.values() for step in steps]
        found: set[str] = {test.varies for test in tests if test}
        if any(variant.sender for test in tests if test for variant in test.variants):
            found.add("sender")
        if any(step.holdout for steps in self.steps.values() for step in steps):
            found.add("step_holdout")
        return frozenset(found)

    @cached_property
    def allocations(self) -> frozenset[str]:
        """How the arms of all these tests are drawn."""
        tests = [step.experiment for steps in self.steps.values() for step in steps]
        return frozenset(test.allocation for test in tests if test)

    @cached_property
    def hours(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """Windows of arms that have hours of their own, by `arm_range.window_id`."""
        return {
            window_id(version_id, step, variant): variant.windows
            for version_id, steps in self.steps.items()
            for step in steps
            if step.experiment
            for variant in step.experiment.variants
            if variant.windows
        }

    def sequence(self, sequence_id: str) -> CompiledSequence | None:
        """Return the sequence as its file says now, or None when the file is gone."""
        return next((s for s in self.sequences if s.sequence_id == sequence_id), None)


def load_programme(
    con: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    sequences: Sequence[CompiledSequence],
    now: datetime,
    home: Path | None = None,
    *,
    also: int | None = None,
) -> Programme:
    """Register new versions and experiments, and the relations that planning joins with.

    Must run inside a transaction. Drafts are registered only once somebody is enrolled, so they are
    left out.

    Args:
        con: the ledger.
        workspace: workspace.yml.
        sequences: as the files say now.
        now: when new ones count as registered.
        home: where weights are published for tests that follow their results; None = nowhere.
        also: a version that has to be there although nobody is on it.
    """
    register_sequences(con, sequences, now)
    register_prices(con, workspace, now)
    known = {
        name for (name,) in con.execute("select sequence_id from sequence_versions").fetchall()
    }
    runnable = [s for s in sequences if s.status != "draft" or s.sequence_id in known]
    tests = register_experiments(con, workspace, runnable, now)
    version_ids = {s.sequence_id: _register_version(con, s, tests, now) for s in runnable}
    steps = _load_steps(con, version_ids, runnable, also)
    asking = {s.sequence_id for s in runnable if s.calendar.prefers_hours}
    scores = read_hour_scores(home, asking) if home and asking else {}
    programme = Programme(
        workspace, tuple(runnable), version_ids, steps, *read_halted(con), hour_scores=scores
    )
    _create_relations(con, programme, tests, home)
    return programme


def _register_version(
    con: duckdb.DuckDBPyConnection,
    sequence: CompiledSequence,
    tests: Mapping[str, str | None],
    now: datetime,
) -> int:
    known = fetch_value(
        con,
        "select version_id from sequence_versions where sequence_id = ? and version = ?",
        [sequence.sequence_id, sequence.version],
    )
    if known is not None:
        return int(known)
    version_id = draw_numbers(con, "version_ids", 1)
    con.execute(
        "insert into sequence_versions values (?, ?, ?, ?, ?, ?, ?, 'live')",
        [
            version_id,
            sequence.sequence_id,
            sequence.version,
            sequence.goal_name,
            sequence.goal_within_seconds,
            sequence.content_json,
            now,
        ],
    )
    con.executemany(
        "insert into steps values (?, ?, ?, ?, ?)",
        [
            [
                version_id,
                step.ix,
                step.step_id,
                step.kind,
                _test_id(tests, sequence.sequence_id, step),
            ]
            for step in sequence.steps
        ],
    )
    for step_ix, arm, template in sequence.templates:
        con.execute(
            "insert into step_templates values (?, ?, ?, ?)", [version_id, step_ix, arm, template]
        )
    return version_id


def _test_id(tests: Mapping[str, str | None], sequence_id: str, step: CompiledStep) -> str | None:
    """Return the id of the test that a step is part of; None for one that only has its id."""
    if step.experiment is None or is_void(tests, sequence_id, step):
        return None
    return step.experiment.experiment_id


def window_id(version_id: int, step: CompiledStep, variant: Variant) -> str:
    """Name the calendar of an arm with hours of its own; a sequence's calendar has its id."""
    return f"{version_id}/{step.step_id}/{variant.arm}"


def _load_steps(
    con: duckdb.DuckDBPyConnection,
    version_ids: dict[str, int],
    sequences: Sequence[CompiledSequence],
    also: int | None,
) -> dict[int, tuple[CompiledStep, ...]]:
    steps = {version_ids[s.sequence_id]: s.steps for s in sequences}
    rows = con.execute(
        "select version_id, sequence_id, definition from sequence_versions "
        "where version_id in (select distinct version_id from live) or version_id = ?",
        [also],
    ).fetchall()
    for version_id, sequence_id, definition in rows:
        if version_id not in steps:
            steps[int(version_id)] = compile_from_json(sequence_id, definition)
    return steps


def _create_relations(
    con: duckdb.DuckDBPyConnection,
    programme: Programme,
    tests: Mapping[str, str | None],
    home: Path | None,
) -> None:
    owner = dict(con.execute("select version_id, sequence_id from sequence_versions").fetchall())
    step_rows, arm_rows = [], []
    published = read_arm_weights(home) if home and "thompson" in programme.allocations else {}
    for version_id, steps in programme.steps.items():
        sequence = programme.sequence(owner[version_id])
        for step in steps:
            row = _step_row(version_id, owner[version_id], sequence, step)
            # A file that is gone counts as archived with drain: whoever is in it finishes.
            row["is_running"] = programme.is_running(owner[version_id])
            row["experiment_id"] = _test_id(tests, owner[version_id], step)
            row["has_holdout_arm"] = bool(
                sequence and row["experiment_id"] and has_held_out_arm(steps, step)
            )
            row["holdout"] = whole_holdout(programme.workspace, sequence)
            if step.experiment and step.experiment.unit == "account":
                row["account_path"] = f"$.{programme.workspace.account}"
            step_rows.append(row)
            arm_rows.extend(_range_rows(version_id, step, published))
    # Whoever finishes a sequence without a file stops as by default.
    gone = {s for s in owner.values() if programme.sequence(s) is None}
    reactions = dict.fromkeys(gone, REACTIONS) | {
        s.sequence_id: dict(s.react) for s in programme.sequences
    }
    resume_after = {s.sequence_id: s.resume_after for s in programme.sequences}
    reaction_rows = [
        {
            "sequence_id": sequence_id,
            "kind": kind,
            "reaction": action,
            "resume_seconds": resume_after.get(sequence_id, {}).get(kind),
        }
        for sequence_id, actions in reactions.items()
        for kind, action in actions.items()
    ]
    for name, rows, schema in (
        ("step", step_rows, _STEP_SCHEMA),
        ("arm_range", arm_rows, _ARM_SCHEMA),
        ("reaction", reaction_rows, _REACTION_SCHEMA),
        ("enroll_event", _enroll_event_rows(programme), _ENROLL_EVENT_SCHEMA),
    ):
        con.register(name, pl.DataFrame(rows, schema=schema, orient="row"))
    create_waits(con, programme.steps)
    con.execute(
        """
        create or replace temp table stopped_arm as
        select distinct experiment_id, unnest(stopped) as arm
        from looks
        where stopped is not null
        """
    )
    con.execute(RULING)
    con.execute(
        """
        create or replace temp table winner as
        with declared as (
            select experiment_id, declared_arm as arm
            from ruling
            where declared_arm is not null
        ),

        sound as (
            select experiment_id, winner as arm, applied_at
            from looks
            where
                applied_at is not null and winner is not null
                and (experiment_id, winner) not in (select (experiment_id, arm) from stopped_arm)
        )

        select experiment_id, arm, true as is_declared
        from declared
        anti join stopped_arm using (experiment_id, arm)
        union all
        select experiment_id, min_by(arm, applied_at), false
        from sound
        anti join declared using (experiment_id)
        group by experiment_id
        """
    )


_STEP_SCHEMA = {
    "version_id": pl.Int64,
    "step_ix": pl.Int16,
    "sequence_id": pl.String,
    "kind": pl.String,
    "channel": pl.String,
    "sender": pl.String,
    "next_ix": pl.Int16,
    "delay_unit": pl.String,
    "delay_amount": pl.Int64,
    "delay_since": pl.String,
    "max_attempts": pl.Int16,
    "backoff_seconds": pl.Int64,
    "retry_then": pl.String,
    "late_seconds": pl.Int64,
    "late_then": pl.String,
    "end_status": pl.String,
    "experiment_id": pl.String,
    "varies": pl.String,
    "sample_share": pl.Float64,
    "account_path": pl.String,
    "step_holdout": pl.Float64,
    "holdout_key": pl.String,
    "control": pl.String,
    "is_auto": pl.Boolean,
    "has_holdout_arm": pl.Boolean,
    "holdout": pl.Float64,
    "is_running": pl.Boolean,
    "zone_mode": pl.String,
    "fallback_zone": pl.String,
    "holidays": pl.String,
    "per_lead": pl.Int64,
}
_ARM_SCHEMA = {
    "version_id": pl.Int64,
    "step_ix": pl.Int16,
    "arm": pl.String,
    "low": pl.Float64,
    "high": pl.Float64,
    "weight": pl.Float64,
    "delay_unit": pl.String,
    "delay_amount": pl.Int64,
    "delay_since": pl.String,
    "channel": pl.String,
    "sender": pl.String,
    "window_id": pl.String,
    "is_present": pl.Boolean,
}
_REACTION_SCHEMA = {
    "sequence_id": pl.String,
    "kind": pl.String,
    "reaction": pl.String,
    "resume_seconds": pl.Int64,
}
_ENROLL_EVENT_SCHEMA = {
    "sequence_id": pl.String,
    "is_active": pl.Boolean,
    "kind": pl.String,
    "name": pl.String,
    "url_like": pl.String,
    "value": pl.String,
}


def _enroll_event_rows(programme: Programme) -> list[dict[str, object]]:
    """Return the events that enroll; a paused sequence looks at them once it runs again."""
    return [
        {
            "sequence_id": s.sequence_id,
            "is_active": s.status == "active" and programme.is_running(s.sequence_id),
            **asdict(s.enroll_event),
        }
        for s in programme.sequences
        if s.enroll_event and s.status in ("active", "paused")
    ]


def _step_row(
    version_id: int, sequence_id: str, sequence: CompiledSequence | None, step: CompiledStep
) -> dict[str, object]:
    test = step.experiment
    zone = sequence.calendar.timezone if sequence else "lead"
    return {
        "version_id": version_id,
        "step_ix": step.ix,
        "sequence_id": sequence_id,
        "kind": step.kind,
        "channel": step.channel,
        "sender": step.sender,
        "next_ix": step.next_ix,
        "delay_unit": step.delay.unit,
        "delay_amount": step.delay.amount,
        "delay_since": step.delay.since,
        "max_attempts": step.retry.attempts,
        "backoff_seconds": step.retry.backoff_seconds,
        "retry_then": step.retry.then,
        "late_seconds": step.late.after_seconds,
        "late_then": step.late.then,
        "end_status": step.end_status,
        # What is set by `_create_relations`: whether the test is the one that the ledger knows.
        "experiment_id": None,
        "varies": test.varies if test else None,
        "sample_share": test.share if test else None,
        "control": test.control if test else None,
        "is_auto": test.is_auto if test else False,
        "step_holdout": step.holdout,
        "holdout_key": f"{sequence_id}/{step.step_id}",
        "zone_mode": zone,
        "fallback_zone": sequence.calendar.fallback_timezone if sequence else "America/New_York",
        "holidays": " ".join(sequence.calendar.holidays) or None if sequence else None,
        "per_lead": sequence.limits.per_lead if sequence else None,
    }


def _range_rows(version_id: int, step: CompiledStep, published: Weights) -> list[dict[str, object]]:
    if step.experiment is None:
        return []
    test = step.experiment
    weights = [variant.weight for variant in test.variants]
    if test.allocation == "thompson":
        arms = [variant.arm for variant in test.variants]
        weights = choose_weights(arms, published.get(test.experiment_id))
    rows, low = [], 0.0
    for variant, weight in zip(test.variants, weights, strict=True):
        delay = variant.delay or step.delay
        rows.append(
            {
                "version_id": version_id,
                "step_ix": step.ix,
                "arm": variant.arm,
                "low": low,
                "high": low + weight,
                "weight": weight,
                "delay_unit": delay.unit,
                "delay_amount": delay.amount,
                "delay_since": delay.since,
                "channel": variant.channel,
                "sender": variant.sender,
                "window_id": window_id(version_id, step, variant) if variant.windows else None,
                "is_present": variant.is_present,
            }
        )
        low += weight
    # The last range is open, so that rounding leaves nobody without an arm.
    rows[-1]["high"] = 2.0
    return rows


def case_by_step(expressions: dict[tuple[int, int], str], otherwise: str) -> str:
    """Build one SQL `case` over (version, step) from expressions that `sequences` compiled.

    The expressions come from sqlglot's generator over an allow-listed tree; nothing else is
    accepted.
    """
    if not expressions:
        return otherwise
    keyed = [
        (version_id * STEP_SPAN + step_ix, sql)
        for (version_id, step_ix), sql in sorted(expressions.items())
    ]
    return _decision_tree(keyed, otherwise)


def _decision_tree(keyed: Sequence[tuple[int, str]], otherwise: str) -> str:
    """Split in halves until few are left: one long `case` asks each row for every step."""
    key = f"due.version_id * {STEP_SPAN} + due.step_ix"
    if len(keyed) > _LONGEST_CASE:
        middle = len(keyed) // 2
        low, high = keyed[:middle], keyed[middle:]
        return (
            f"case when {key} < {high[0][0]} then {_decision_tree(low, otherwise)} "
            f"else {_decision_tree(high, otherwise)} end"
        )
    branches = " ".join(f"when {number} then ({sql})" for number, sql in keyed)
    return f"case {key} {branches} else {otherwise} end"
