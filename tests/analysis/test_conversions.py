import math
import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight

from pipeline.analysis.conversions import CURVES_SCHEMA, conversion_curves, share_converted_by

MERCAPTOPURINE = (
    [(day, True) for day in (6, 6, 6, 7, 10, 13, 16, 22, 23)]
    + [(day, False) for day in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)]
)  # fmt: skip


def leads(rows, sequence_id="welcome", is_holdout=False):
    return pl.DataFrame(
        {
            "sequence_id": [sequence_id] * len(rows),
            "is_holdout": [is_holdout] * len(rows),
            "duration_whole_days": [day for day, _ in rows],
            "is_converted": [converted for _, converted in rows],
        },
        schema={
            "sequence_id": pl.String,
            "is_holdout": pl.Boolean,
            "duration_whole_days": pl.Int64,
            "is_converted": pl.Boolean,
        },
    )


def test_the_curve_is_that_of_the_freireich_trial():
    curve = conversion_curves(leads(MERCAPTOPURINE))
    assert curve["day"].to_list() == [6, 7, 10, 13, 16, 22, 23]
    expected = (0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482)
    assert (1 - curve["share_converted"]).to_list() == pytest.approx(expected, abs=6e-5)
    assert curve["n_at_risk"].to_list() == [21, 17, 15, 12, 11, 7, 6]
    assert curve["count_converted"].to_list() == [3, 1, 1, 1, 1, 1, 1]
    # The median is the day on which the share reaches a half.
    assert curve.filter(pl.col("share_converted") >= 0.5)["day"].min() == 23


def test_the_intervals_rest_on_the_published_greenwood_errors():
    curve = conversion_curves(leads(MERCAPTOPURINE))
    errors = (0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346)
    surviving = 1 - curve["share_converted"].to_numpy()
    spread = np.exp(stats.norm.ppf(0.975) * np.array(errors) / (surviving * -np.log(surviving)))
    assert curve["interval_low"].to_numpy() == pytest.approx(
        1 - surviving ** (1 / spread), abs=3e-4
    )
    assert curve["interval_high"].to_numpy() == pytest.approx(1 - surviving**spread, abs=3e-4)


def test_groups_and_sequences_have_their_own_curves():
    frame = pl.concat(
        [
            leads([(1, True), (5, False)]),
            leads([(2, True), (5, False), (5, False)], is_holdout=True),
            leads([(3, True), (5, False)], "other"),
            leads([(5, False)], "silent"),
        ]
    )
    curves = conversion_curves(frame)
    found = curves.select("sequence_id", "group", "day").rows()
    assert found == [("other", "treated", 3), ("welcome", "held_out", 2), ("welcome", "treated", 1)]
    one = curves.filter(sequence_id="welcome", group="held_out")
    assert share_converted_by(one, 2) == pytest.approx(1 / 3)
    assert share_converted_by(one, 1) == 0.0


def test_no_leads_and_no_conversions_give_an_empty_frame():
    for rows in ([], [(5, False), (0, False)]):
        curves = conversion_curves(leads(rows))
        assert dict(curves.schema) == CURVES_SCHEMA
        assert curves.height == 0
        assert share_converted_by(curves, 30) == 0.0


def test_everybody_converting_at_once_has_an_honest_interval():
    curve = conversion_curves(leads([(0, True)] * 20)).row(0, named=True)
    assert (curve["day"], curve["share_converted"], curve["interval_high"]) == (0, 1.0, 1.0)
    assert curve["interval_low"] == pytest.approx(0.025 ** (1 / 20))


def test_the_last_lead_converting_keeps_what_was_certain_before():
    curve = conversion_curves(leads([(1, True), (1, True), (2, False), (3, True)]))
    assert curve["share_converted"].to_list() == pytest.approx([0.5, 1.0])
    assert curve["interval_low"][1] == curve["interval_low"][0]


def test_leads_without_a_duration_take_no_part_and_early_wins_are_day_zero():
    frame = leads([(-1, True), (None, False), (4, False)])
    curve = conversion_curves(frame)
    assert curve.select("day", "n_at_risk", "count_converted").rows() == [(0, 2, 1)]


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=80))
def test_the_curve_equals_statsmodels_on_single_rows_whatever_their_order(rows):
    curve = conversion_curves(leads(rows))
    assert curve.equals(conversion_curves(leads(rows[::-1])))
    days, converted = zip(*rows, strict=True)
    if not any(converted):
        assert curve.height == 0
        return
    single = SurvfuncRight(np.array(days), np.array(converted, dtype=int))
    share = curve["share_converted"]
    assert share.to_numpy() == pytest.approx(1 - single.surv_prob, abs=1e-12)
    assert share.is_sorted()
    assert (curve["interval_low"] <= share).all()
    assert (share <= curve["interval_high"]).all()
    assert all(math.isfinite(v) for v in curve["interval_low"].to_list())
    assert curve["interval_low"].min() >= 0
    assert curve["interval_high"].max() <= 1


def test_many_leads_are_counted_before_they_are_fitted():
    rng = np.random.default_rng(1)
    n = 200_000
    frame = pl.DataFrame(
        {
            "sequence_id": [f"s{ix % 20}" for ix in range(n)],
            "is_holdout": rng.random(n) < 0.1,
            "duration_whole_days": rng.integers(0, 90, n),
            "is_converted": rng.random(n) < 0.1,
        }
    )
    began = time.perf_counter()
    curves = conversion_curves(frame)
    assert time.perf_counter() - began < 3
    assert curves["sequence_id"].n_unique() == 20


def test_the_curve_of_the_olist_leads_of_2018_is_the_published_one(shared_data):
    folder = shared_data("olist_leads")
    contacted, won = (
        pl.read_csv(folder / f"olist_marketing_{name}_dataset.csv.gz", separator=";")
        for name in ("qualified_leads", "closed_deals")
    )
    day = pl.all().exclude("mql_id").str.slice(0, 10).str.to_date("%Y.%m.%d")
    frame = (
        contacted.select("mql_id", started="first_contact_date")
        .join(won.select("mql_id", won="won_date"), on="mql_id", how="left")
        .select("mql_id", day)
        .filter(pl.col("started") >= pl.date(2018, 1, 1))
        .select(
            sequence_id=pl.lit("olist"),
            is_holdout=False,
            duration_whole_days=(
                pl.coalesce("won", pl.date(2018, 11, 14)) - pl.col("started")
            ).dt.total_days(),
            is_converted=pl.col("won").is_not_null(),
        )
    )
    curve = conversion_curves(frame)
    found = [round(share_converted_by(curve, days), 5) for days in (7, 14, 30, 60, 90, 150)]
    assert found == [0.04718, 0.07102, 0.09203, 0.10620, 0.11304, 0.12204]
