import polars as pl
import pytest

from pipeline.analysis.delays import (
    CURVES_SCHEMA,
    DELAYS_SCHEMA,
    delay_curves,
    name_delay,
    recommend_delays,
)

DAY = 86_400


def delay_arm(arm, days, replied, n=5000, experiment_id="wait", **changed):
    return {
        "experiment_id": experiment_id,
        "arm": arm,
        "delay_seconds": None if days is None else int(days * DAY),
        "role": "control" if arm == "a" else "treatment",
        "n_assigned": n,
        "n": n,
        "count_replied": replied,
        "count_converted": replied // 10,
        **changed,
    }


def replied(frame):
    return frame.filter(pl.col("metric") == "replied").row(0, named=True)


def decision(**values):
    row = {
        "experiment_id": "wait",
        "metric": "replied",
        "state": "running",
        "winner": None,
        "reason": "Because.",
        "effect": 0.01,
        "interval_low": -0.02,
        "interval_high": 0.04,
        **values,
    }
    return pl.DataFrame([row], schema_overrides={"winner": pl.String})


def test_the_delay_that_brings_more_replies_is_recommended_with_its_interval():
    advice = recommend_delays(pl.DataFrame([delay_arm("a", 1, 400), delay_arm("b", 3, 600)]))
    assert dict(advice.schema) == DELAYS_SCHEMA
    assert advice["metric"].to_list() == ["replied", "converted"]
    row = replied(advice)
    assert (row["state"], row["recommended_delay_seconds"]) == ("winner", 3 * DAY)
    assert row["evidence_label"] == "randomised"
    assert row["reason"].startswith("Randomised: wait 3 days (b).")
    assert row["effect"] == pytest.approx(0.04)
    assert 0 < row["interval_low"] < row["effect"] < row["interval_high"]


def test_equal_delays_keep_collecting():
    row = replied(recommend_delays(pl.DataFrame([delay_arm("a", 1, 400), delay_arm("b", 3, 410)])))
    assert (row["state"], row["recommended_delay_seconds"]) == ("running", None)
    assert "keep collecting; 1 day and 3 days cannot be told apart yet" in row["reason"]


def test_two_of_three_delays_that_share_the_lead_are_no_single_best():
    rows = [delay_arm("a", 1, 400), delay_arm("b", 3, 600), delay_arm("c", 5, 605)]
    row = replied(recommend_delays(pl.DataFrame(rows)))
    assert (row["state"], row["recommended_delay_seconds"]) == ("either_of", None)


def times(arm, days, ends, open_units, outcome="replied"):
    rows = [(day, outcome, count) for day, count in zip(days, ends, strict=True)]
    return [
        {
            "experiment_id": "wait",
            "arm": arm,
            "metric": "replied",
            "whole_days": day,
            "outcome": end,
            "count_units": count,
        }
        for day, end, count in [*rows, (20, None, open_units)]
    ]


def frame(*rows):
    return pl.DataFrame([each for row in rows for each in row])


ARMS = [delay_arm("a", 1, 400), delay_arm("b", 3, 400)]
TIED = decision(state="no_difference", winner=None)


def test_of_equal_delays_the_one_that_is_answered_sooner_is_recommended():
    sooner = frame(times("a", [1], [400], 4600), times("b", [9], [400], 4600))
    row = replied(recommend_delays(pl.DataFrame(ARMS), TIED, sooner))
    assert (row["state"], row["recommended_delay_seconds"]) == ("no_difference", DAY)
    # Of 5,000 units 400 are answered on day 1 of 20: 20 - 0.08 x 19 days without an answer.
    assert "up to day 20: 1 day 18.5, 3 days 19.1" in row["reason"]


def test_of_delays_answered_as_soon_the_one_that_fewer_leave_is_recommended():
    equal = frame(
        times("a", [2, 3], [400, 50], 4600),
        times("a", [3], [40], 0, "unsubscribed"),
        times("b", [2, 3], [400, 50], 4600),
        times("b", [3], [20], 20, "unsubscribed"),
    )
    row = replied(recommend_delays(pl.DataFrame(ARMS), TIED, equal))
    assert row["recommended_delay_seconds"] == 3 * DAY
    assert "the fewest unsubscribe: 3 days 0.39 %, 1 day 0.79 %" in row["reason"]


def test_delays_that_are_equal_in_everything_stay_equal():
    same = frame(times("a", [2], [400], 4600), times("b", [2], [400], 4600))
    row = replied(recommend_delays(pl.DataFrame(ARMS), TIED, same))
    assert row["recommended_delay_seconds"] is None
    assert "makes no difference" in row["reason"]


def test_of_delays_that_share_the_lead_a_worse_one_is_no_choice():
    rows = [delay_arm("a", 1, 400), delay_arm("b", 3, 600), delay_arm("c", 5, 605)]
    soon = frame(
        times("a", [1], [400], 4600), times("b", [3], [600], 4400), times("c", [9], [605], 4395)
    )
    row = replied(recommend_delays(pl.DataFrame(rows), None, soon))
    assert (row["state"], row["recommended_delay_seconds"]) == ("either_of", 3 * DAY)


def test_a_curve_counts_whom_something_else_has_ended_before():
    found = delay_curves(frame(times("a", [1, 2], [10, 9], 0), times("a", [1], [81], 0, "bounced")))
    assert dict(found.schema) == CURVES_SCHEMA
    rows = found.filter(pl.col("outcome") == "replied").rows(named=True)
    assert [(row["day"], row["n_at_risk"], row["count_reached"]) for row in rows] == [
        (1, 100, 10),
        (2, 9, 9),
    ]
    # Kaplan-Meier would say that everybody answers.
    assert [row["share"] for row in rows] == pytest.approx([0.10, 0.19])
    assert all(row["interval_low"] <= row["share"] <= row["interval_high"] for row in rows)
    assert delay_curves(frame(times("a", [1], [1], 1)).clear()).is_empty()


def test_the_held_out_group_is_no_delay_to_recommend():
    held = delay_arm("(holdout)", None, 900, role="held_out")
    rows = [delay_arm("a", 1, 400), delay_arm("b", 3, 600), held]
    assert replied(recommend_delays(pl.DataFrame(rows)))["recommended_delay_seconds"] == 3 * DAY


@pytest.mark.parametrize(
    ("n", "count"), [pytest.param(0, 0, id="nobody"), pytest.param(5000, 0, id="no reply")]
)
def test_edges_are_collecting_and_never_nan(n, count):
    rows = [delay_arm("a", 1, count, n), delay_arm("b", 3, count, n)]
    advice = recommend_delays(pl.DataFrame(rows))
    assert advice["state"].to_list() == ["collecting", "collecting"]
    assert advice["interval_low"].to_list() == [None, None]


def test_no_experiments_give_an_empty_frame():
    empty = pl.DataFrame([delay_arm("a", 1, 1)]).clear()
    advice = recommend_delays(empty, decision().clear())
    assert dict(advice.schema) == DELAYS_SCHEMA
    assert advice.height == 0


def test_what_the_ledger_decided_on_the_own_metric_stands():
    rows = pl.DataFrame([delay_arm("a", 1, 400), delay_arm("b", 3, 410)])
    row = replied(recommend_delays(rows, decision(state="winner", winner="b")))
    assert (row["state"], row["recommended_delay_seconds"]) == ("winner", 3 * DAY)
    assert (row["effect"], row["interval_low"]) == (0.01, -0.02)
    converted = recommend_delays(rows, decision(metric="goal(demo)", state="no_difference"))
    assert converted["state"].to_list() == ["running", "no_difference"]


def test_an_invalid_experiment_gives_no_advice_on_any_metric():
    rows = pl.DataFrame([delay_arm("a", 1, 400), delay_arm("b", 3, 600)])
    advice = recommend_delays(rows, decision(state="invalid", reason="Split broken."))
    assert advice["state"].to_list() == ["invalid", "invalid"]
    assert advice["recommended_delay_seconds"].to_list() == [None, None]
    assert advice["reason"][0] == "Randomised, but not to be used. Split broken."


def test_the_order_of_rows_does_not_matter():
    rows = [delay_arm("a", 1, 400), delay_arm("b", 3, 600), delay_arm("c", 5, 605)]
    rows += [delay_arm(arm, 2, 300, experiment_id="first") for arm in "ab"]
    forward, backward = (recommend_delays(pl.DataFrame(r)) for r in (rows, rows[::-1]))
    assert forward.equals(backward)


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (0, "no delay"),
        (DAY, "1 day"),
        (3 * DAY, "3 days"),
        (129_600, "36 hours"),
        (90, "90 seconds"),
        (1800, "30 minutes"),
    ],
)
def test_a_delay_is_named_in_its_largest_whole_unit(seconds, name):
    assert name_delay(seconds) == name


def test_each_metric_has_the_reason_of_its_own_numbers():
    """The words of the experiment's own metric once stood beside the other metric too."""
    rows = pl.DataFrame([delay_arm("a", 1, 400), delay_arm("b", 3, 600)])
    advice = recommend_delays(rows, decision(state="winner", winner="b", reason="Because."))
    reasons = dict(advice.select("metric", "reason").iter_rows())
    assert "Because." in reasons["replied"]
    assert "Because." not in reasons["converted"]
