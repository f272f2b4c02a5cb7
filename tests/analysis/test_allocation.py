"""Shares of a bandit: a distribution that nobody is given up in, the better arm ahead, no luck."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.allocation import (
    WEIGHTS_SCHEMA,
    allocate_arms,
    keep_floor,
    probabilities_best,
)
from pipeline.analysis.comparisons import ArmStats

NOW = datetime(2026, 3, 1, tzinfo=UTC)
COUNTS = st.integers(0, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
ARMS = st.lists(COUNTS, min_size=2, max_size=10)


def shares(*counts: tuple[int, int]) -> list[ArmStats]:
    return [ArmStats(n, float(x), float(x)) for n, x in counts]


@given(ARMS)
def test_weights_are_a_distribution_with_a_floor(counts: list[tuple[int, int]]) -> None:
    found = keep_floor(probabilities_best(shares(*counts)))
    assert sum(found) == pytest.approx(1)
    assert min(found) >= min(0.1, 0.5 / len(counts)) - 1e-12


@given(COUNTS, COUNTS)
def test_two_arms_change_places_with_their_numbers(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    there = probabilities_best(shares(one, other))
    assert probabilities_best(shares(other, one)) == pytest.approx(there[::-1], abs=1e-3)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))), COUNTS)
def test_one_more_success_never_lowers_an_arm(one: tuple[int, int], other: tuple[int, int]) -> None:
    fewer = probabilities_best(shares((one[0], one[1] - 1), other))[0]
    assert probabilities_best(shares(one, other))[0] >= fewer - 1e-3


def test_nobody_knows_anything_at_first_and_ties_stay_equal() -> None:
    assert probabilities_best(shares((0, 0), (0, 0), (0, 0))) == pytest.approx([1 / 3] * 3)
    assert probabilities_best(shares((50, 5), (50, 5))) == pytest.approx([0.5, 0.5])


def test_probabilities_are_those_of_many_draws() -> None:
    random = np.random.default_rng(1)
    drawn = np.stack([random.beta(1 + x, 1 + 200 - x, 200_000) for x in (20, 26, 31)])
    share = np.bincount(drawn.argmax(axis=0)) / 200_000
    found = probabilities_best(shares((200, 20), (200, 26), (200, 31)))
    assert found == pytest.approx(share.tolist(), abs=0.004)


def test_money_is_judged_by_its_mean_and_its_spread() -> None:
    rich, poor = ArmStats(100, 900.0, 30_000.0), ArmStats(100, 100.0, 1_000.0)
    found = probabilities_best([rich, poor], is_money=True)
    assert found[0] > 0.99
    few = probabilities_best([ArmStats(4, 36.0, 1_200.0), ArmStats(4, 4.0, 40.0)], is_money=True)
    assert 0.5 < few[0] < found[0]


@pytest.mark.parametrize(
    "arms",
    [
        [ArmStats(0), ArmStats(10, 50.0, 900.0)],
        [ArmStats(10), ArmStats(10)],
        [ArmStats(1, 5.0, 25.0), ArmStats(1, 9.0, 81.0)],
    ],
    ids=["an arm without leads", "no money at all", "one lead each"],
)
def test_money_of_which_nothing_can_be_told_leaves_arms_equal(arms: list[ArmStats]) -> None:
    assert probabilities_best(arms, is_money=True) == [0.5, 0.5]


def arm(name: str, n: int, count: int, **changed: object) -> dict[str, object]:
    return {
        "experiment_id": "bandit", "metric": "clicked", "is_primary": True, "arm": name,
        "role": "treatment", "assigned_on": NOW.date(), "n": n, "sum": float(count),
        "sum_squares": float(count), **changed,
    }  # fmt: skip


def test_only_bandits_and_only_arms_that_are_sent_get_weights() -> None:
    experiments = pl.DataFrame(
        {"experiment_id": ["bandit", "plain"], "allocation": ["thompson", "weights"]}
    )
    rows = [
        arm("x", 60, 3),
        arm("x", 40, 2, assigned_on=NOW.date().replace(day=2)),
        arm("y", 100, 20),
        arm("(holdout)", 100, 90, role="held_out"),
        arm("y", 100, 0, metric="converted", is_primary=False),
        arm("x", 9, 9, experiment_id="plain"),
    ]
    found = allocate_arms(experiments, pl.DataFrame(rows), NOW)
    assert found.select("experiment_id", "arm", "n").rows() == [
        ("bandit", "x", 100),
        ("bandit", "y", 100),
    ]
    weights = dict(found.select("arm", "weight").iter_rows())
    assert weights == pytest.approx({"x": 0.1, "y": 0.9}, abs=0.01)
    assert allocate_arms(experiments, pl.DataFrame(rows[::-1]), NOW).equals(found)


def test_without_bandits_there_are_no_rows() -> None:
    experiments = pl.DataFrame({"experiment_id": ["plain"], "allocation": ["equal"]})
    found = allocate_arms(experiments, pl.DataFrame([arm("x", 9, 9, experiment_id="plain")]), NOW)
    assert found.is_empty()
    assert dict(found.schema) == WEIGHTS_SCHEMA
