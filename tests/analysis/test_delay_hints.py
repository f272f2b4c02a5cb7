"""Hints from waits that nobody drew: they propose a test, and the shortest wait has no head start."""

import math

import numpy as np
import polars as pl
import pytest

from pipeline.analysis.delay_hints import (
    HINTS_SCHEMA,
    HORIZON_DAYS,
    LEAST_REPLIES,
    e_value,
    hint_delays,
    resampled_quantiles,
)
from pipeline.analysis.incidence import OPEN, count_risk
from tests.analysis.conftest import OTHERS

SCHEMA = {
    "sequence_id": pl.String,
    "step_id": pl.String,
    "lead_id": pl.Int64,
    "days": pl.Float64,
    "outcome": pl.String,
    "wait_days": pl.Float64,
    "weekday": pl.Int64,
    "was_engaged": pl.Boolean,
}


def messages(rng, n=3000, effect=0.0, share=0.1):
    """Messages after waits of one to eight days; replies come faster after longer ones."""
    wait = rng.choice([1.0, 2.0, 4.0, 8.0], n)
    pace = np.exp(effect * np.log2(wait))
    reply = rng.exponential(30 / pace / (share * 10), n)
    lost = rng.exponential(200, n)
    days = np.minimum(np.minimum(reply, lost), 20.0)
    outcome = np.where(days == reply, "replied", np.where(days == lost, "unsubscribed", None))
    return pl.DataFrame(
        {
            "sequence_id": "welcome",
            "step_id": "nudge",
            "lead_id": np.arange(n),
            "days": days,
            "outcome": outcome.tolist(),
            "wait_days": wait,
            "weekday": rng.integers(0, 5, n),
            "was_engaged": rng.random(n) < 0.3,
        },
        schema=SCHEMA,
    )


def test_a_wait_that_goes_with_replies_is_an_association_that_proposes_a_test():
    (row,) = hint_delays(messages(np.random.default_rng(1), effect=0.3)).to_dicts()
    assert row["evidence_label"] == "association"
    assert row["hazard_low"] < math.exp(0.3) < row["hazard_high"]
    assert 1 < row["e_value"] < e_value(row["hazard_ratio"])
    assert "an association, no effect" in row["proposal"]
    assert "test 1.0 and 8.0 days before nudge against each other, by lot" in row["proposal"]


def test_waits_that_make_no_difference_are_not_told_apart():
    told = 0
    for seed in range(4):
        (row,) = hint_delays(messages(np.random.default_rng(seed))).to_dicts()
        told += "cannot be told apart" not in row["proposal"]
    assert told <= 1


def test_waits_that_hardly_differ_say_nothing():
    frame = messages(np.random.default_rng(2)).with_columns(wait_days=pl.lit(3.0))
    (row,) = hint_delays(frame).to_dicts()
    assert (row["hazard_ratio"], row["e_value"]) == (None, None)
    assert "other waits are not known" in row["proposal"]


def test_few_replies_say_nothing_and_nothing_is_an_empty_frame():
    frame = messages(np.random.default_rng(3))
    few = frame.filter(pl.col("outcome") == "replied").head(LEAST_REPLIES - 1)
    assert hint_delays(few).height == 0
    assert dict(hint_delays(frame.clear()).schema) == HINTS_SCHEMA


def test_the_earliest_sensible_delay_counts_those_who_left_and_those_who_still_may_reply():
    """Half of the messages are a day old: their replies to come would be missed by counting."""
    rng = np.random.default_rng(4)
    lag = rng.exponential(2.0, 4000)
    seen = np.where(np.arange(4000) % 2, 1.0, HORIZON_DAYS)
    days = np.minimum(lag, seen)
    frame = messages(rng, 4000).with_columns(
        days=pl.Series(days),
        outcome=pl.Series(["replied" if lag[i] <= seen[i] else None for i in range(4000)]),
    )
    (row,) = hint_delays(frame).to_dicts()
    truth = -2.0 * math.log(1 - 0.8 * (1 - math.exp(-HORIZON_DAYS / 2)))
    assert row["earliest_low"] < truth < row["earliest_high"]
    naive = frame.filter(pl.col("outcome") == "replied")["days"].quantile(0.8)
    assert naive < row["earliest_low"]


def test_the_bootstrap_is_that_of_single_messages():
    days = np.repeat([1.0, 2.0, 3.0, 5.0], 25)
    ends = ["replied"] * 50 + [OPEN] * 25 + ["replied"] * 25
    risk = count_risk(days, ends)
    cells = resampled_quantiles(
        np.array([1.0, 2.0, 3.0, 5.0]), ["replied", "replied", OPEN, "replied"], np.full(4, 25.0)
    )
    assert np.median(cells) == risk.quantile(0.8, "replied", of_ends=True)
    rng = np.random.default_rng(6)
    single = []
    for _ in range(400):
        drawn = rng.integers(0, 100, 100)
        again = count_risk(days[drawn], [ends[i] for i in drawn])
        single.append(again.quantile(0.8, "replied", of_ends=True))
    assert np.mean(cells) == pytest.approx(np.mean(single), abs=0.15)
    assert np.std(cells) == pytest.approx(np.std(single), abs=0.15)


def test_the_order_of_rows_does_not_matter():
    frame = messages(np.random.default_rng(7), 1500)
    assert hint_delays(frame).equals(hint_delays(frame.reverse()))


def draw_arm(rng, delay, share=0.08, unsubscribes=0.004, leads=400, days=21, today=24):
    """Leads who enroll over three weeks, wait, and reply after their message, if ever."""
    enrolled = rng.uniform(0, days, leads)
    replies = np.where(rng.random(leads) < share, delay + rng.gamma(1.2, 2.0, leads), np.inf)
    leaves = rng.exponential(1 / unsubscribes, leads)
    seen = today - enrolled
    ended = np.minimum(replies, leaves)
    ends = np.where(ended > seen, OPEN, np.where(replies < leaves, "replied", "unsubscribed"))
    return np.minimum(ended, seen), ends, seen


@pytest.mark.slow
def test_of_three_equal_delays_each_looks_best_as_often(calibration):
    """Replies so far per enrolled lead prefer the shortest of three equal delays in 60 %."""
    rng = np.random.default_rng(53)
    rounds = 1200 * calibration.times
    best = {"incidence": np.zeros(3), "so far": np.zeros(3)}
    for _ in range(rounds):
        arms = [draw_arm(rng, delay) for delay in (1, 3, 7)]
        shares = []
        for days, ends, _ in arms:
            share = (
                count_risk(days, ends.tolist()).shares("replied")[0] if "replied" in ends else [0]
            )
            times = np.unique(days[ends != OPEN])
            shares.append(share[np.searchsorted(times, 21, side="right") - 1])
        so_far = [(ends == "replied").mean() for _, ends, _ in arms]
        for name, values in (("incidence", shares), ("so far", so_far)):
            top = np.flatnonzero(np.array(values) == max(values))
            best[name][rng.choice(top)] += 1
    for name, target in (("incidence", "28 to 39 % each"), ("so far", "–")):
        shares = " / ".join(f"{100 * share:.1f}" for share in best[name] / rounds)
        question = f"three equal delays (1, 3, 7 days): best by replies {name}"
        calibration.note(OTHERS, question, f"{shares} %", target, draws=rounds, seed=53)
    assert best["so far"][0] / rounds > 0.5
    for share in best["incidence"] / rounds:
        assert 0.28 <= share <= 0.39
