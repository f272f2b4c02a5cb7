"""Every edge from the marts' rows to the published tables: a row, a label that is honest, no NaN.

And the laws of whole decisions, on any counts: what single functions promise has to hold of frames.
"""

import json
import math
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis.conversions import CURVES_SCHEMA, conversion_curves, conversion_times
from pipeline.analysis.decision_rows import LOOKS_SCHEMA
from pipeline.analysis.decisions import decide_experiments
from pipeline.analysis.step_effects import step_effects

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
NO_LOOKS = pl.DataFrame(schema=LOOKS_SCHEMA)
MODES = ("open", "planned")
PLANNED = 10_000


def experiment(mode="planned", metric="replied", **changed):
    return {
        "experiment_id": "subject",
        "metric": metric,
        "mode": mode,
        "planned_leads": PLANNED,
        "alpha": 0.05,
        "is_auto": True,
        "control": "a",
        "count_conflicting_units": 0,
        "allocation": "weights",
        "has_changing_shares": False,
        "guardrails": ["unsubscribed", "complained", "bounced"],
        "expected_loss": None,
        "margin": None,
        **changed,
    }


def mart_rows(counts, metric="replied", amount=1.0, day=1, share=None):
    """Return one day of marts.experiment_arms: of each arm leads with an event, matured, assigned."""
    return [
        {
            "experiment_id": "subject",
            "metric": metric,
            "is_primary": True,
            "arm": arm,
            "role": "control" if arm == "a" else "treatment",
            "share": share or 1 / len(counts),
            "assigned_on": date(2026, 3, day),
            "n_assigned": assigned,
            "n": n,
            "sum": events * amount,
            "sum_squares": events * amount**2,
            "sum_so_far": events * amount,
            "n_engaged": n // 3,
            "sum_engaged": events * amount / 3,
            "probability": 1 / len(counts) if assigned else None,
        }
        for arm, (events, n, assigned) in zip("abcd", counts, strict=False)
    ]


FLOATS = ("share", "sum", "sum_squares", "sum_so_far", "sum_engaged", "probability")
SCHEMA = {
    **dict.fromkeys(("experiment_id", "metric", "arm", "role"), pl.String),
    **dict.fromkeys(("n_assigned", "n", "n_engaged"), pl.Int64),
    **dict.fromkeys(FLOATS, pl.Float64),
    "is_primary": pl.Boolean,
    "assigned_on": pl.Date,
}


def decide(rows, asked=None, looks=NO_LOOKS, now=NOW):
    asked = pl.DataFrame([asked or experiment()])
    return decide_experiments(asked, pl.DataFrame(rows, schema=SCHEMA), looks, now)


def assert_sound(*frames):
    """Neither NaN nor infinity, every estimate in its interval, every p a probability."""
    for frame in frames:
        for column in frame.select(pl.col(pl.Float64)).get_columns():
            values = column.drop_nulls()
            assert values.is_finite().all(), column.name
        assert frame["p_value"].is_between(0, 1).all()
        for estimate, low, high in (
            ("effect", "interval_low", "interval_high"),
            ("effect", "plain_95_low", "plain_95_high"),
            ("shrunk_effect", "shrunk_low", "shrunk_high"),
            ("adjusted_effect", "adjusted_low", "adjusted_high"),
        ):
            if low in frame.columns and estimate in frame.columns:
                inside = pl.col(estimate).is_between(pl.col(low) - 1e-12, pl.col(high) + 1e-12)
                assert frame.drop_nulls([estimate, low, high]).select(inside.all()).item()
        for text in frame["evidence"] if "evidence" in frame.columns else ():
            # A NaN in the stored look would raise here.
            json.loads(text, parse_constant=pytest.fail)


EDGES = {
    "nobody was assigned": ([(0, 0, 0), (0, 0, 0)], "collecting", "No lead has been assigned"),
    "one arm is empty": ([(200, 4000, 4000), (0, 0, 0)], "invalid", "not split as declared"),
    "one arm is empty at first": ([(1, 4, 4), (0, 0, 0)], "collecting", "no lead yet"),
    "zero events": ([(0, 2000, 2000), (0, 2000, 2000)], "collecting", "0 of the 10"),
    "zero events in one arm": ([(90, 2000, 2000), (0, 2000, 2000)], "collecting", "0 of the 10"),
    "everybody": ([(2000, 2000, 2000), (2000, 2000, 2000)], "collecting", "10 leads without"),
    "one buyer": ([(0, 3000, 3000), (1, 3000, 3000)], "collecting", "0 of the 10"),
    "nobody has matured": ([(0, 0, 900), (0, 0, 920)], "collecting", "completed its outcome"),
    "few have matured": ([(12, 60, 900), (15, 60, 920)], "collecting", "60 of the 100"),
    "two are tied": ([(150, 3000, 3000), (150, 3000, 3000)], "running", "No arm is ahead"),
    "three are tied": ([(150, 3000, 3000)] * 3, "running", "No arm is ahead"),
    "a broken split": ([(150, 3000, 3400), (300, 3000, 3000)], "invalid", "not split as declared"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("metric", "amount"), [("replied", 1.0), ("revenue(sale)", 49.9)])
@pytest.mark.parametrize("edge", EDGES)
def test_an_edge_has_its_label_and_its_next_look(edge, metric, amount, mode):
    counts, state, words = EDGES[edge]
    asked = experiment(mode, metric, planned_leads=40_000)
    rows = mart_rows(counts, metric, amount)
    decisions, comparisons = decide(rows, asked)
    [row] = decisions.to_dicts()
    assert (row["state"], row["winner"]) == (state, None)
    assert words in row["reason"]
    assert comparisons.height == len(counts) * (len(counts) - 1) / 2
    assert_sound(decisions, comparisons)
    # What the look has left serves the next one, of the same leads and of more.
    looks, tomorrow = decisions.select(*LOOKS_SCHEMA), NOW + timedelta(days=1)
    for more in (rows, rows + mart_rows([(30, 400, 400)] * len(counts), metric, amount, day=2)):
        later = decide(more, asked, looks, tomorrow)
        assert_sound(*later)
        assert json.loads(later[0]["evidence"][0])["looks"] == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_variant_that_is_added_later_is_seen_to_break_the_split(mode):
    asked = experiment(mode)
    first, _ = decide(mart_rows([(150, 3000, 3000), (160, 3000, 3000)]), asked)
    rows = mart_rows([(165, 3300, 3300), (170, 3300, 3300), (15, 300, 300)])
    later = decide(rows, asked, first.select(*LOOKS_SCHEMA), NOW + timedelta(days=1))
    assert_sound(*later)
    assert later[0]["state"].to_list() == ["invalid"]
    assert later[1].select("arm", "baseline").rows() == [("b", "a"), ("c", "a"), ("c", "b")]


def test_a_plan_that_is_exceeded_says_so_and_goes_on_counting():
    asked = experiment("planned")
    tied = mart_rows([(250, 5000, 5000), (252, 5000, 5000)])
    full, _ = decide(tied, asked)
    assert full["state"].to_list() == ["no_difference"]
    assert "10,000 leads are in" in full["reason"][0]
    looks, leads = full.select(*LOOKS_SCHEMA), []
    for day in range(1, 4):
        more = mart_rows([(250 * day, 5000 * day, 5000 * day)] * 2, day=2)
        decisions, comparisons = decide(tied + more, asked, looks, NOW + timedelta(days=day))
        assert_sound(decisions, comparisons)
        assert decisions["state"].to_list() == ["no_difference"]
        boundary = json.loads(decisions["evidence"][0])["pairs"][0]["boundary"]
        assert (boundary["multiplier"], boundary["spent"]) == (None, pytest.approx(0.04))
        looks = decisions.select(*LOOKS_SCHEMA)
        leads.append(decisions["n"][0])
    assert leads == [20_000, 30_000, 40_000]


def test_leads_in_two_arms_are_told_and_break_the_test_when_they_are_many():
    rows = mart_rows([(250, 5000, 5000), (400, 5000, 5000)])
    few, _ = decide(rows, experiment(count_conflicting_units=90))
    many, compared = decide(rows, experiment(count_conflicting_units=120))
    assert few["state"].to_list() == ["winner"]
    assert many["state"].to_list() == ["invalid"]
    assert "120 of 10,120" in many["reason"][0]
    assert_sound(few, many, compared)


# --- laws ------------------------------------------------------------------------------------------

arm_counts = st.integers(0, 4000).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(n, n + 300))
)
days_of_two = st.lists(st.tuples(arm_counts, arm_counts), min_size=1, max_size=5)
amounts = st.sampled_from([("replied", 1.0), ("revenue(sale)", 12.5)])


@settings(max_examples=60)
@given(days_of_two, amounts, st.sampled_from(MODES), st.randoms(use_true_random=False))
def test_days_apart_and_together_in_any_order_are_one_decision(days, kind, mode, random):
    metric, amount = kind
    asked = experiment(mode, metric)
    apart = [
        row
        for day, counts in enumerate(days, start=1)
        for row in mart_rows(counts, metric, amount, day=day)
    ]
    added = [tuple(map(sum, zip(*arm, strict=True))) for arm in zip(*days, strict=True)]
    together = mart_rows(added, metric, amount, day=len(days))
    together[0]["assigned_on"] = date(2026, 3, 1)
    # What had reacted before the draw is rounded by day here.
    for row in (*apart, *together):
        row |= {"n_engaged": 0, "sum_engaged": 0.0}
    one = decide(apart, asked)
    random.shuffle(apart)
    other, merged = decide(apart, asked), decide(together, asked)
    assert_sound(*one)
    for first, second, third in zip(one, other, merged, strict=True):
        assert first.equals(second)
        assert first.drop("evidence", strict=False).equals(third.drop("evidence", strict=False))


@settings(max_examples=60)
@given(arm_counts, arm_counts, amounts, st.sampled_from(MODES))
def test_arms_that_change_places_change_signs_and_nothing_else(one, other, kind, mode):
    metric, amount = kind
    asked = experiment(mode, metric)
    forward, pairs = decide(mart_rows([one, other], metric, amount), asked)
    backward, turned = decide(mart_rows([other, one], metric, amount), asked)
    names = {"a": "b", "b": "a", None: None}
    assert backward["state"].to_list() == forward["state"].to_list()
    assert backward["winner"][0] == names[forward["winner"][0]]
    [pair], [turned_pair] = pairs.to_dicts(), turned.to_dicts()
    for name in ("effect", "shrunk_effect", "adjusted_effect"):
        assert turned_pair[name] == (None if pair[name] is None else pytest.approx(-pair[name]))
    for low, high in (("interval_low", "interval_high"), ("plain_95_low", "plain_95_high")):
        expected = (None, None) if pair[low] is None else (-pair[high], -pair[low])
        found = (turned_pair[low], turned_pair[high])
        assert found == (expected if pair[low] is None else pytest.approx(expected, abs=1e-9))
    for name in ("p_value", "is_decisive"):
        assert turned_pair[name] == pair[name]


@settings(max_examples=30)
@given(
    st.lists(st.tuples(arm_counts, arm_counts, arm_counts), min_size=2, max_size=5),
    st.sampled_from(MODES),
)
def test_what_was_decided_or_spent_is_never_taken_back(days, mode):
    """Looks day by day: a winner stays, a p-value never rises, a full plan stays full."""
    asked, rows, looks = experiment(mode), [], NO_LOOKS
    winner, p_values, full = None, {}, set()
    for day, counts in enumerate(days, start=1):
        rows += mart_rows(counts, day=day)
        decisions, comparisons = decide(rows, asked, looks, NOW + timedelta(days=day))
        assert_sound(decisions, comparisons)
        [row] = decisions.to_dicts()
        if winner:
            assert (row["state"], row["winner"]) == ("winner", winner)
        winner = row["winner"]
        for pair in json.loads(row["evidence"])["pairs"]:
            key = (pair["arm"], pair["baseline"])
            if "p_value" in pair:
                assert pair["p_value"] <= p_values.get(key, 1.0)
                p_values[key] = pair["p_value"]
            if key in full:
                assert pair["boundary"]["multiplier"] is None
            if row["n"] >= PLANNED and pair.get("boundary"):
                full.add(key)
        looks = decisions.select(*LOOKS_SCHEMA)


observed = st.tuples(
    st.sampled_from(["one", "two"]),
    st.booleans(),
    st.integers(-1, 40),
    st.booleans(),
    st.sampled_from([None, "unsubscribed", "bounced"]),
    st.integers(0, 40),
    st.integers(0, 20),
)


@given(st.lists(observed, max_size=60), st.randoms(use_true_random=False))
def test_curves_of_any_leads_hold_their_estimates_whatever_the_order(rows, random):
    """Conversions, departures and late entry at once, and leads that were never observed."""
    schema = {
        "sequence_id": pl.String,
        "is_holdout": pl.Boolean,
        "duration_whole_days": pl.Int64,
        "is_converted": pl.Boolean,
        "left_as": pl.String,
        "left_whole_days": pl.Int64,
        "observed_from_whole_days": pl.Int64,
    }
    rows = [(*row[:5], row[5] if row[4] else None, row[6]) for row in rows]
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    curves, times = conversion_curves(frame), conversion_times(frame)
    assert dict(curves.schema) == CURVES_SCHEMA
    for found in (curves, times):
        for column in found.select(pl.col(pl.Float64)).get_columns():
            assert column.drop_nulls().is_finite().all(), column.name
    shares = curves.select("interval_low", "share", "interval_high")
    assert all(0 <= low <= share <= high <= 1 for low, share, high in shares.iter_rows())
    ends = curves.group_by("sequence_id", "group", "outcome").agg(pl.col("share").max())
    whole = ends.group_by("sequence_id", "group").agg(pl.col("share").sum())
    assert (whole["share"] <= 1 + 1e-9).all()
    for row in times.to_dicts():
        assert 0 <= row["interval_low"] <= row["mean_days_unconverted"] + 1e-9
        assert row["mean_days_unconverted"] <= row["interval_high"] + 1e-9
        assert row["interval_high"] <= row["horizon_days"] or math.isclose(
            row["interval_high"], row["horizon_days"]
        )
    random.shuffle(rows)
    shuffled = pl.DataFrame(rows, schema=schema, orient="row")
    assert conversion_curves(shuffled).equals(curves)
    assert conversion_times(shuffled).equals(times)


@given(*[st.integers(0, 900).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))] * 2)
def test_a_step_holdout_of_any_size_holds_its_effect_and_says_nothing_of_nothing(sent, held_out):
    rows = [
        {
            "sequence_id": "welcome",
            "step_id": "second",
            "is_held_out": is_held_out,
            "n_reached": n,
            "n": n,
            "count_converted": events,
            "count_unsubscribed": n - events,
            "count_leads": n,
            "share_declared": held_out[1] / max(1, sent[1] + held_out[1]),
        }
        for is_held_out, (events, n) in ((False, sent), (True, held_out))
    ]
    found = step_effects(pl.DataFrame(rows))
    assert found.height == 2
    for row in found.to_dicts():
        numbers = [value for value in row.values() if isinstance(value, float)]
        assert all(math.isfinite(value) for value in numbers)
        if row["interval_low"] is None:
            assert not row["is_decisive"]
        else:
            assert row["interval_low"] <= row["effect"] <= row["interval_high"]
