"""All metrics of all experiments at once say what each says alone."""

import math
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.analysis.adjustment import PairedSums, adjust_for_covariate
from pipeline.analysis.arm_columns import compared_arms, order_days, read_arm
from pipeline.analysis.comparisons import Design, compare_arms
from pipeline.analysis.metric_looks import (
    SECONDARY_FALSE_DISCOVERY_RATE,
    look_at_metrics,
    tell_experiments,
)
from pipeline.analysis.sequential import rejected_by_evidence

METRICS = ("clicked", "opened", "replied", "revenue(sale)")
COUNT = 40


def draw(rng, looks):
    """Experiments of two to four arms and a held-out group, in so many days of leads."""
    experiments, days = [], []
    for number in range(COUNT):
        name, arms = f"test {number:02}", [*"abc"[: rng.integers(1, 4)], "(holdout)"]
        size = int(rng.choice([40, 400, 4000]))
        mode = ["open", "planned"][number % 2]
        experiments.append(
            {
                "experiment_id": name,
                "control": "a",
                "alpha": 0.05,
                "planned_leads": 6 * size,
                "mode": mode,
            }
        )
        for arm in arms:
            for metric in METRICS:
                for on in range(looks):
                    n = int(rng.integers(size // 2, size))
                    amounts = np.ones(rng.binomial(n, 0.1 if arm == "a" else 0.13))
                    if metric == "revenue(sale)":
                        amounts *= rng.lognormal(3, 1, len(amounts))
                    engaged = int(rng.integers(0, n // 2))
                    days.append(
                        {
                            "experiment_id": name,
                            "metric": metric,
                            "is_primary": metric == "opened",
                            "arm": arm,
                            "role": "held_out" if arm == "(holdout)" else "treatment",
                            "share": 1 / len(arms),
                            "assigned_on": date(2026, 3, 1 + on),
                            "n_assigned": n,
                            "n": n,
                            "sum": amounts.sum(),
                            "sum_squares": (amounts**2).sum(),
                            "sum_so_far": amounts.sum(),
                            "n_engaged": engaged,
                            "sum_engaged": min(amounts.sum(), engaged / 3),
                        }
                    )
    return pl.DataFrame(experiments), pl.DataFrame(days)


@pytest.fixture(scope="module", params=["first", "second"])
def looked(request):
    """The table of arms, what the look before knew, and what this look says."""
    experiments, days = draw(np.random.default_rng(8), 3)
    names = experiments["experiment_id"].to_list()
    known = {}
    if request.param == "second":
        early = order_days(experiments, days.filter(pl.col("assigned_on") < date(2026, 3, 3)), {})
        told = tell_experiments(look_at_metrics(compared_arms(early, names[::2]), {}))
        known = {
            name: {"pairs": look.evidence, "secondary": look.secondary}
            for name, look in told.items()
        }
    table = order_days(experiments, days, {})
    return table, known, look_at_metrics(compared_arms(table, names), known)


def alone(table, known, experiment_id, metric):
    """The same comparisons by the arms of one metric."""
    rows = table.filter(experiment_id=experiment_id, metric=metric).to_dicts()
    mode = "planned" if rows[0]["is_planned"] else "open"
    design = Design(metric, mode, int(rows[0]["planned_leads"]), control="a")
    before = known.get(experiment_id, {"pairs": (), "secondary": ()})
    previous = [found for found in before["secondary"] if found["metric"] == metric]
    if rows[0]["is_primary"]:
        previous = before["pairs"]
    return rows, compare_arms(design, [read_arm(row) for row in rows], previous)


def test_every_metric_is_compared_as_if_it_were_alone(looked):
    table, known, found = looked
    told = tell_experiments(found)
    assert len(told) == COUNT
    looks = 0
    for experiment_id, look in told.items():
        evidence = iter([*look.evidence, *look.secondary])
        rows = iter(look.rows)
        for metric in ("opened", "clicked", "replied", "revenue(sale)"):
            for pair in alone(table, known, experiment_id, metric)[1]:
                row = next(rows)
                same = ("arm", "baseline", "n_arm", "n_baseline", "effect", "interval_low", "p_value", "plain_95_high")  # fmt: skip
                assert {name: row[name] for name in same} == {
                    name: getattr(pair, name) for name in same
                }
                assert {**pair.evidence, "metric": metric} == {**next(evidence), "metric": metric}
                looks += row["interval_low"] is not None
        assert next(rows, None) is None
    assert looks > 200


def test_secondary_metrics_are_decisive_by_their_evidence_in_each_experiment(looked):
    table, known, found = looked
    decisive = 0
    for experiment_id, look in tell_experiments(found).items():
        pairs = [
            pair
            for metric in ("clicked", "replied", "revenue(sale)")
            for pair in alone(table, known, experiment_id, metric)[1]
        ]
        expected = rejected_by_evidence(
            [pair.log_e if pair.is_decisive else -math.inf for pair in pairs],
            SECONDARY_FALSE_DISCOVERY_RATE,
        )
        shown = [row["is_decisive"] for row in look.rows if not row["is_primary"]]
        assert shown == expected
        decisive += sum(shown)
        primary = alone(table, known, experiment_id, "opened")[1]
        assert [row["is_decisive"] for row in look.seen] == [pair.is_decisive for pair in primary]
    assert decisive > 10


def test_the_adjusted_effect_is_that_of_the_arms_of_its_experiment(looked):
    table, known, found = looked
    for experiment_id, look in tell_experiments(found).items():
        rows, pairs = alone(table, known, experiment_id, "opened")
        sums = [
            PairedSums(row["n"], row["sum"], row["sum_squares"], row["n_engaged"], row["n_engaged"], row["sum_engaged"])
            for row in rows
        ]  # fmt: skip
        stats = dict(zip([row["arm"] for row in rows], adjust_for_covariate(sums), strict=True))
        for row, pair in zip(look.seen, pairs, strict=True):
            if row["interval_low"] is None:
                assert row["adjusted_effect"] is None
                continue
            arm, baseline = stats[pair.arm], stats[pair.baseline]
            error = math.sqrt(arm.variance / arm.n + baseline.variance / baseline.n)
            assert row["adjusted_effect"] == pytest.approx(arm.mean - baseline.mean)
            assert row["adjusted_high"] == pytest.approx(
                row["adjusted_effect"] + pair.evidence["multiplier"] * error
            )
        assert all(row["adjusted_effect"] is None for row in look.rows if not row["is_primary"])


def test_no_experiments_give_no_looks():
    experiments, days = draw(np.random.default_rng(8), 1)
    table = order_days(experiments, days, {})
    assert tell_experiments(look_at_metrics(compared_arms(table, []), {})) == {}
