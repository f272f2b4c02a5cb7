import random
from datetime import date

import polars as pl
import pytest

from pipeline.analysis.arm_columns import compared_arms, order_days, read_arm, read_exposure
from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.comparisons import Arm, order_arms
from pipeline.analysis.guardrails import Exposure
from pipeline.analysis.shrinkage import Prior


def experiment(experiment_id="subject", control="z"):
    return {
        "experiment_id": experiment_id,
        "control": control,
        "alpha": 0.05,
        "planned_leads": 4000,
        "mode": "planned",
    }


def day(arm, role="treatment", metric="replied", on=1, experiment_id="subject", **changed):
    return {
        "experiment_id": experiment_id,
        "metric": metric,
        "is_primary": metric == "replied",
        "arm": arm,
        "role": role,
        "share": 0.25,
        "assigned_on": date(2026, 3, on),
        "n_assigned": 120,
        "n": 100,
        "sum": 7.0,
        "sum_squares": 7.0,
        "sum_so_far": 8.0,
        "n_engaged": 30,
        "sum_engaged": 3.0,
        **changed,
    }


ARMS = (("a", "treatment"), ("z", "control"), ("h", "held_out"), ("b", "treatment"))
DAYS = [
    day(arm, role, metric, on, experiment_id)
    for experiment_id in ("subject", "other")
    for metric in ("clicked", "replied", "complained", "unsent")
    for arm, role in ARMS
    for on in (1, 2)
]


def ordered(days=DAYS, priors=None, control="z"):
    experiments = [experiment(name, control) for name in ("subject", "other")]
    return order_days(pl.DataFrame(experiments), pl.DataFrame(days), priors or {})


@pytest.mark.parametrize("control", ["z", "b", None])
def test_arms_stand_as_comparisons_rank_them_the_deciding_metric_first(control):
    frame = ordered(random.Random(3).sample(DAYS, len(DAYS)), control=control)
    names = [arm.name for arm in order_arms([Arm(*arm) for arm in ARMS], control)]
    groups = frame.select("experiment_id", "metric").unique(maintain_order=True).rows()
    expected = ["replied", "clicked", "complained", "unsent"]
    assert groups == [(name, metric) for name in ("other", "subject") for metric in expected]
    assert frame["arm"].to_list() == names * 8


def test_days_are_summed_and_an_arm_can_be_read_off_its_row():
    row = ordered().row(1, named=True)
    assert read_arm(row) == Arm("z", "control", 0.25, 240, ArmStats(200, 14.0, 14.0), 16.0)
    assert read_exposure(row) == Exposure("z", 240, 16, 0.25, is_control=True)
    assert (row["first_on"], row["last_on"]) == (date(2026, 3, 1), date(2026, 3, 2))


def test_what_is_watched_exactly_or_held_back_is_not_compared():
    metrics = compared_arms(ordered(), ["subject"])
    assert metrics.frame["metric"].to_list() == ["replied"] * 4 + ["clicked"] * 4
    assert metrics.arms.group.tolist() == [0] * 4 + [1] * 4
    assert metrics.experiment.tolist() == [0] * 8
    assert metrics.arms.competes.tolist() == [False, True, True, True] * 2
    assert metrics.engaged.x.tolist() == [60] * 8


def test_only_the_deciding_metric_is_planned_and_each_has_the_prior_of_its_kind():
    metrics = compared_arms(ordered(priors={"clicked": Prior(0.3, 40)}), ["subject"])
    assert metrics.rules.is_planned.tolist() == [True, False]
    assert metrics.rules.planned_leads.tolist() == [4000, 4000]
    assert metrics.rules.spread.tolist() == [0.1, 0.3]
