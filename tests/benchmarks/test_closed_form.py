"""A thousand experiments are compared many times as fast as one by one, and say the same."""

import numpy as np
import pytest

from pipeline.analysis.arm_columns import compared_arms, order_days
from pipeline.analysis.metric_looks import look_at_metrics
from pipeline.analysis.pairs import DEFAULT_PAIR_LEADS
from pipeline.analysis.sequential import confidence_multiplier, tuning_rate
from tests.benchmarks.__main__ import run_rows
from tests.benchmarks.floors.gbstats_classes import compare_all
from tests.benchmarks.rows.closed_form import (
    LEAST_TIMES_FASTER,
    MOST_SECONDS_PER_PLANNED_LOOK,
    draw,
    sums_of,
)


def test_ours_and_the_floor_say_the_same_of_every_pair():
    experiments, days = draw(60)
    frame = order_days(experiments, days, {})
    found = look_at_metrics(compared_arms(frame, experiments["experiment_id"].to_list()), {})
    looks, rule = found.looks, found.pairs.rule
    alpha = float(rule.alpha[0])
    assert (rule.alpha == alpha).all()
    floor = np.array(compare_all(sums_of(frame), alpha, DEFAULT_PAIR_LEADS))
    assert floor[:, 0] == pytest.approx(looks.effect, abs=1e-12)
    # gbstats tunes by an approximation, and divides a variance by n − 1.
    logarithm = -2 * np.log(alpha)
    approximate = (logarithm + np.log(logarithm + 1)) / DEFAULT_PAIR_LEADS
    ratio = confidence_multiplier(looks.n, approximate, alpha) / confidence_multiplier(
        looks.n, tuning_rate(DEFAULT_PAIR_LEADS, alpha), alpha
    )
    halves = looks.multiplier * looks.standard_error * ratio
    assert (floor[:, 2] - floor[:, 1]) / 2 == pytest.approx(halves, rel=2e-3)
    is_share = (frame["metric"] != "revenue(sale)").to_numpy()[found.pairs.arm]
    assert (floor[:, 2] - floor[:, 1])[is_share] / 2 == pytest.approx(halves[is_share], rel=1e-12)


@pytest.mark.prove
def test_a_thousand_experiments_are_compared_many_times_as_fast_as_by_gbstats(tmp_path):
    ours, _, look = run_rows(tmp_path, count=0, runs=1, say=print, only=["closed_form"])
    # `make bench` asks for the whole; caches of a machine that others use take up to half of it.
    assert ours.value >= LEAST_TIMES_FASTER / 2
    assert look.value <= 2 * MOST_SECONDS_PER_PLANNED_LOOK
