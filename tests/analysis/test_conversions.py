import math
import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight

from pipeline.analysis.conversions import (
    CURVES_SCHEMA,
    TIMES_SCHEMA,
    conversion_curves,
    conversion_times,
    share_converted_by,
)
from pipeline.analysis.incidence import compare_groups

MERCAPTOPURINE = (
    [(day, True) for day in (6, 6, 6, 7, 10, 13, 16, 22, 23)]
    + [(day, False) for day in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)]
)  # fmt: skip


SCHEMA = {
    "sequence_id": pl.String,
    "is_holdout": pl.Boolean,
    "duration_whole_days": pl.Int64,
    "is_converted": pl.Boolean,
    "left_as": pl.String,
    "left_whole_days": pl.Int64,
    "observed_from_whole_days": pl.Int64,
}


def leads(rows, sequence_id="welcome", is_holdout=False):
    """Rows of days observed and converted or not; then how and when they left, observed from."""
    return pl.DataFrame(
        [(sequence_id, is_holdout, *row, *(None, None, 0)[len(row) - 2 :]) for row in rows],
        schema=SCHEMA,
        orient="row",
    )


def test_the_curve_is_that_of_the_freireich_trial():
    curve = conversion_curves(leads(MERCAPTOPURINE))
    assert curve["day"].to_list() == [6, 7, 10, 13, 16, 22, 23]
    expected = (0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482)
    assert (1 - curve["share"]).to_list() == pytest.approx(expected, abs=6e-5)
    assert curve["n_at_risk"].to_list() == [21, 17, 15, 12, 11, 7, 6]
    assert curve["count_reached"].to_list() == [3, 1, 1, 1, 1, 1, 1]
    # The median is the day on which the share reaches a half.
    assert curve.filter(pl.col("share") >= 0.5)["day"].min() == 23


def test_the_intervals_rest_on_the_published_greenwood_errors():
    curve = conversion_curves(leads(MERCAPTOPURINE))
    errors = (0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346)
    surviving = 1 - curve["share"].to_numpy()
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
    assert found == [("other", "treated", 3), ("welcome", "treated", 1), ("welcome", "held_out", 2)]
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
    assert (curve["day"], curve["share"], curve["interval_high"]) == (0, 1.0, 1.0)
    assert curve["interval_low"] == pytest.approx(0.025 ** (1 / 20))


def test_the_last_lead_converting_keeps_what_was_certain_before():
    curve = conversion_curves(leads([(1, True), (1, True), (2, False), (3, True)]))
    assert curve["share"].to_list() == pytest.approx([0.5, 1.0])
    assert curve["interval_low"][1] == curve["interval_low"][0]


def test_leads_without_a_duration_take_no_part_and_early_wins_are_day_zero():
    frame = leads([(-1, True), (None, False), (4, False)])
    curve = conversion_curves(frame)
    assert curve.select("day", "n_at_risk", "count_reached").rows() == [(0, 2, 1)]


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=80))
def test_the_curve_equals_statsmodels_on_single_rows_whatever_their_order(rows):
    curve = conversion_curves(leads(rows))
    assert curve.equals(conversion_curves(leads(rows[::-1])))
    days, converted = zip(*rows, strict=True)
    if not any(converted):
        assert curve.height == 0
        return
    single = SurvfuncRight(np.array(days), np.array(converted, dtype=int))
    share = curve["share"]
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
            "left_as": None,
            "left_whole_days": None,
            "observed_from_whole_days": 0,
        },
        schema=SCHEMA,
    )
    began = time.perf_counter()
    curves = conversion_curves(frame)
    assert time.perf_counter() - began < 3
    assert curves["sequence_id"].n_unique() == 20


def test_who_leaves_competes_and_who_converts_all_the_same_has_converted():
    rows = [
        (5, True),
        (40, False, "unsubscribed", 2),
        (9, True, "unsubscribed", 2),
        (40, False, "bounced", 0),
        (40, False),
        (40, False),
    ]
    curves = conversion_curves(leads(rows))
    found = curves.select("outcome", "day", "n_at_risk", "count_reached", "share").rows()
    assert found == [
        ("bounced", 0, 6, 1, pytest.approx(1 / 6)),
        ("converted", 5, 4, 1, pytest.approx(1 / 6)),
        ("converted", 9, 3, 1, pytest.approx(2 / 6)),
        ("unsubscribed", 2, 5, 1, pytest.approx(1 / 6)),
    ]
    # One minus Kaplan-Meier takes who has left for somebody who is only not observed any longer.
    assert 2 / 6 < 1 - (3 / 4) * (2 / 3)
    assert share_converted_by(curves, 30) == pytest.approx(2 / 6)


def test_what_could_not_be_seen_is_not_held_against_a_lead():
    """Of the first two nothing was recorded in their first 20 days."""
    rows = [(30, False, None, None, 20), (25, True, None, None, 20), (5, True), (30, False)]
    curve = conversion_curves(leads(rows))
    found = curve.select("day", "n_at_risk", "share").rows()
    assert found == [(5, 2, pytest.approx(1 / 2)), (25, 3, pytest.approx(1 / 2 + 1 / 2 * 1 / 3))]


def test_a_few_numbers_tell_how_long_it_takes():
    rows = [(2, True), (4, True), (6, True), (8, True), *[(20, False)] * 4]
    (found,) = conversion_times(leads(rows)).to_dicts()
    assert (found["n"], found["count_converted"], found["horizon_days"]) == (8, 4, 20)
    assert found["mean_days_unconverted"] == pytest.approx((2 + 4 + 6 + 8 + 80) / 8)
    assert found["interval_low"] < found["mean_days_unconverted"] < found["interval_high"]
    assert found["median_days"] == 8
    names = ("quarter", "half", "eighty")
    assert [found[f"{name}_of_converters_days"] for name in names] == [2, 4, 8]
    assert found["p_value_of_groups"] is None


def test_groups_are_compared_over_the_time_that_both_were_observed():
    treated = leads([(3, True)] * 60 + [(50, False)] * 140)
    held_out = leads([(9, True)] * 10 + [(20, False)] * 90, is_holdout=True)
    found = conversion_times(pl.concat([treated, held_out]))
    assert found["horizon_days"].to_list() == [20, 20]
    by_group = {row["group"]: row for row in found.to_dicts()}
    assert by_group["treated"]["mean_days_unconverted"] == pytest.approx(20 - 0.3 * 17)
    assert by_group["held_out"]["mean_days_unconverted"] == pytest.approx(20 - 0.1 * 11)
    assert by_group["treated"]["median_days"] is None
    assert found["p_value_of_groups"].max() < 1e-4
    nothing = conversion_times(leads([(5, False)]))
    assert (dict(nothing.schema), nothing.height) == (TIMES_SCHEMA, 0)


def read_olist(folder):
    """First contact, origin and won date of the 8,000 leads."""
    contacted, won = (
        pl.read_csv(folder / f"olist_marketing_{name}_dataset.csv.gz", separator=";")
        for name in ("qualified_leads", "closed_deals")
    )
    day = pl.col("started", "won").str.slice(0, 10).str.to_date("%Y.%m.%d")
    return (
        contacted.select("mql_id", "origin", started="first_contact_date")
        .join(won.select("mql_id", won="won_date"), on="mql_id", how="left")
        .with_columns(day)
    )


def olist_frame(leads_of_olist, entry=0):
    until = pl.date(2018, 11, 14)
    return leads_of_olist.select(
        sequence_id=pl.lit("olist"),
        is_holdout=False,
        duration_whole_days=(pl.coalesce("won", until) - pl.col("started")).dt.total_days(),
        is_converted=pl.col("won").is_not_null(),
        left_as=pl.lit(None, dtype=pl.String),
        left_whole_days=pl.lit(None, dtype=pl.Int64),
        observed_from_whole_days=entry,
    )


def test_the_curves_of_the_olist_leads_are_the_published_ones(shared_data):
    everybody = read_olist(shared_data("olist_leads"))
    of_2018 = everybody.filter(pl.col("started") >= pl.date(2018, 1, 1))
    curve = conversion_curves(olist_frame(of_2018))
    found = [round(share_converted_by(curve, days), 5) for days in (7, 14, 30, 60, 90, 150)]
    assert found == [0.04718, 0.07102, 0.09203, 0.10620, 0.11304, 0.12204]
    curve = conversion_curves(olist_frame(everybody))
    found = [round(share_converted_by(curve, d), 5) for d in (0, 7, 14, 30, 60, 90, 180, 365)]
    assert found == [0.00425, 0.03550, 0.05350, 0.06938, 0.08088, 0.08650, 0.09692, 0.11346]
    (times,) = conversion_times(olist_frame(of_2018)).to_dicts()
    # The plain median of the won is 12: who came late had less time to be a slow one.
    won = of_2018.drop_nulls("won")
    assert (won["won"] - won["started"]).dt.total_days().median() == 12
    assert times["half_of_converters_days"] == 13
    assert (times["n"], times["count_converted"], times["median_days"]) == (5998, 781, None)


def test_late_entry_takes_the_artefact_out_of_the_olist_leads_of_2017(shared_data):
    """No deal before December 2017 was recorded: taken as observed, these leads seem hopeless."""
    everybody = read_olist(shared_data("olist_leads"))
    of_2017 = everybody.filter(pl.col("started") < pl.date(2018, 1, 1))
    entry = (pl.date(2017, 12, 4) - pl.col("started")).dt.total_days().clip(lower_bound=0)
    naive = conversion_curves(olist_frame(of_2017))
    late = conversion_curves(olist_frame(of_2017, entry))
    assert share_converted_by(naive, 30) < 0.02
    # Those who were seen from their first day on converted like the leads of January.
    assert share_converted_by(late, 30) > 3 * share_converted_by(naive, 30)


def test_the_origins_of_the_olist_leads_differ_as_published(shared_data):
    of_2018 = read_olist(shared_data("olist_leads")).filter(
        pl.col("started") >= pl.date(2018, 1, 1)
    )
    frame = olist_frame(of_2018)
    days, won = frame["duration_whole_days"].clip(lower_bound=0), frame["is_converted"]
    statistic, _, pairs = compare_groups(days, won, of_2018["origin"].to_list())
    assert statistic == pytest.approx(133.289, abs=5e-3)
    two = of_2018["origin"].is_in(["Organic Search", "Social"])
    found = compare_groups(
        days.filter(two), won.filter(two), of_2018["origin"].filter(two).to_list()
    )
    assert found[:2] == (pytest.approx(44.881, abs=5e-3), pytest.approx(2.1e-11, rel=0.05))
    assert pairs["Organic Search", "Social"] < 1e-8
