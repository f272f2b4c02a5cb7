import json
from datetime import date

import polars as pl
import pytest

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.comparisons import Arm, Design
from pipeline.analysis.decision_rows import (
    COMPARISONS_SCHEMA,
    DECISIONS_SCHEMA,
    comparison_row,
    decision_row,
    restore_row,
)
from pipeline.analysis.experiments import decide_experiment

DESIGN = Design("replied", control="a")
TODAY = date(2026, 3, 10)


def decided(a=250, b=350, n=5000):
    arms = [
        Arm("a", "control", 0.5, n, ArmStats(n, a, a)),
        Arm("b", n_assigned=n, stats=ArmStats(n, b, b)),
    ]
    return decide_experiment(DESIGN, arms)


def stored(decision):
    row = decision_row("subject", DESIGN, decision, TODAY)
    return json.loads(json.dumps({**decision.evidence, "row": row}, allow_nan=False))


def test_a_look_that_was_stored_gives_its_row_again():
    row = restore_row(stored(decided()), is_auto=True)
    [found] = pl.DataFrame([row], schema=DECISIONS_SCHEMA).to_dicts()
    assert (found["winner"], found["looked_on"], found["is_auto"]) == ("b", TODAY, True)
    assert found["effect"] == pytest.approx(0.02)
    assert found["interval_low"] < found["shrunk_effect"] < found["interval_high"]
    assert json.loads(found["evidence"])["row"]["reason"] == found["reason"]


def test_what_a_person_has_decided_since_stands_above_the_stored_text():
    named = {**stored(decided(250, 252)), "state": "winner", "winner": "a"}
    row = restore_row(named, is_auto=False)
    assert (row["state"], row["winner"], row["is_auto"]) == ("winner", "a", False)


@pytest.mark.parametrize("n", [5000, 80, 0])
def test_a_comparison_has_all_columns_of_its_table_whatever_can_be_said(n):
    [pair] = decided(n // 20, n // 15, n).comparisons
    row = comparison_row("subject", pair)
    assert set(row) == set(COMPARISONS_SCHEMA)
    assert (row["interval_low"] is None) == (row["probability_better"] is None) == (n < 100)
    assert row["adjusted_effect"] is None
    assert pl.DataFrame([row], schema=COMPARISONS_SCHEMA).height == 1
