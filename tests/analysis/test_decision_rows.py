import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import get_args

import numpy as np
import polars as pl
import pytest

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.comparisons import Arm, Design
from pipeline.analysis.decision_rows import (
    COMPARISONS_SCHEMA,
    DECISIONS_SCHEMA,
    comparison_row,
    decision_row,
    recompute,
    restore_row,
)
from pipeline.analysis.experiments import State, decide_experiment
from tests.analysis.test_decisions import NO_LOOKS, NOW, day_rows, decide, experiment, look_rows

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


@dataclass(frozen=True)
class World:
    """What an experiment is drawn from, a day's leads per arm at a time."""

    rates: tuple[float, ...]
    metric: str = "replied"
    bad: tuple[float, ...] = (0.002, 0.002, 0.002)
    lost: tuple[float, ...] = (0.01, 0.01, 0.01)
    leads: tuple[int, ...] = (900, 900, 900)
    conflicting: int = 0
    mode: str = "planned"
    planned: int = 12_000
    has_holdout: bool = False
    has_different_senders: bool = False


# The states that each is there for; on the way to them they pass others.
WORLDS = {
    "winner": World((0.05, 0.08), has_different_senders=True),
    "money": World((0.05, 0.09), "revenue(sale)", mode="open"),
    "either_of": World((0.04, 0.10, 0.10), planned=30_000),
    "held out": World((0.05, 0.08, 0.05), has_holdout=True),
    "no_difference": World((0.06, 0.06)),
    "running": World((0.06, 0.06), mode="open"),
    "collecting": World((0.001, 0.001), leads=(90, 90)),
    "harmful": World((0.05, 0.07), bad=(0.002, 0.02)),
    "one is taken out": World((0.05, 0.07, 0.08), bad=(0.001, 0.001, 0.012)),
    "broken split": World((0.05, 0.07), leads=(900, 1080)),
    "lost unevenly": World((0.05, 0.07), lost=(0.01, 0.06)),
    "conflicting": World((0.05, 0.07), conflicting=30),
}


def drawn_days(world, rng, day):
    """One day of marts.experiment_arms: the deciding metric, two guardrails, what was lost."""
    roles = ("control", "treatment", "held_out" if world.has_holdout else "treatment")
    for ix, rate in enumerate(world.rates):
        n = int(rng.poisson(world.leads[ix]))
        matured = n if day < 5 else n // 2
        yields = {
            world.metric: (rate, True),
            "clicked": (0.2, False),
            "complained": (world.bad[ix], False),
            "unsubscribed": (0.01, False),
            "unsent": (world.lost[ix], False),
        }
        for metric, (share, is_primary) in yields.items():
            so_far = rng.binomial(n, share)
            count = rng.hypergeometric(so_far, n - so_far, matured)
            yield day_rows(
                "abc"[ix],
                count,
                matured,
                day,
                metric=metric,
                is_primary=is_primary,
                n_assigned=n,
                role=roles[ix],
                share=1 / len(world.rates),
                sum_so_far=float(so_far),
                sum_squares=float(count) * (40 if metric.startswith("revenue") else 1),
            )


def told(pair):
    """What is stored of a pair as numbers, those of its boundary among them."""
    numbers = {**pair, **pair.get("boundary", {})}
    return {name: value for name, value in numbers.items() if isinstance(value, float | int)}


def stored_looks(world, rng, days=6):
    """The evidence of each daily look, as it comes back from the ledger."""
    looks, arms = NO_LOOKS, []
    for day in range(1, days + 1):
        arms += drawn_days(world, rng, day)
        one = experiment(
            metric=world.metric,
            mode=world.mode,
            planned_leads=world.planned if world.mode == "planned" else None,
            count_conflicting_units=world.conflicting * day,
            has_different_senders=world.has_different_senders,
        )
        decisions, _ = decide([one], arms, looks, NOW + timedelta(days=day))
        looks = look_rows(decisions)
        yield json.loads(looks["evidence"][0])


def test_a_look_is_taken_again_from_what_was_stored_of_it():
    rng = np.random.default_rng(31)
    seen = set()
    for name, world in WORLDS.items():
        before = None
        for evidence in stored_looks(world, rng):
            row = evidence["row"]
            decision = recompute(evidence, before)
            again = decision_row("subject", DESIGN, decision, date.fromisoformat(row["looked_on"]))
            # What the rule alone says is not the look's.
            for column in row.keys() - {"mode", "metric", "prior_spread", "prior_tests"}:
                assert again[column] == pytest.approx(row[column]), (name, column)
            for part in ("harm", "stopped", "either_of", "looks"):
                assert decision.evidence[part] == evidence[part], (name, part)
            # What the next look will remember of each pair is the same as well.
            for pair, stored_pair in zip(
                decision.evidence["pairs"], evidence["pairs"], strict=True
            ):
                assert told(pair) == pytest.approx(told(stored_pair)), name
            seen.add(row["state"])
            before = evidence
    assert seen == set(get_args(State))


@pytest.mark.parametrize(
    ("part", "lacking"),
    [
        pytest.param("exposures", {}, id="what guardrails saw"),
        pytest.param("lost", None, id="who was never sent"),
        pytest.param("conflicting_units", 0, id="who was in two arms"),
    ],
)
def test_without_a_part_of_it_another_decision_comes_out(part, lacking):
    name = {"exposures": "harmful", "lost": "lost unevenly"}.get(part, "conflicting")
    *_, evidence = stored_looks(WORLDS[name], np.random.default_rng(31))
    assert recompute(evidence).state == evidence["state"] in {"harmful", "invalid"}
    assert recompute({**evidence, part: lacking}).state == "winner"
