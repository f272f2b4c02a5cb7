"""What a step adds: a difference by lot or nothing."""

import polars as pl
import pytest

from pipeline.analysis.step_effects import STEP_EFFECTS_SCHEMA, step_effects


def group(is_held_out, n, converted, unsubscribed=0, step_id="nudge", share=None, leads=None):
    return {
        "sequence_id": "welcome",
        "step_id": step_id,
        "is_held_out": is_held_out,
        "n_reached": n + 5,
        "n": n,
        "count_converted": converted,
        "count_unsubscribed": unsubscribed,
        "count_leads": n + 5 if leads is None else leads,
        "share_declared": share,
    }


def test_a_step_adds_what_the_held_out_lack_and_its_cost_stands_beside():
    rows = [group(False, 9000, 900, 180), group(True, 1000, 50, 15)]
    converted, unsubscribed = step_effects(pl.DataFrame(rows)).to_dicts()
    assert converted["effect"] == pytest.approx(0.05)
    assert 0 < converted["interval_low"] < 0.05 < converted["interval_high"]
    assert converted["is_decisive"]
    assert (unsubscribed["metric"], unsubscribed["effect"]) == (
        "unsubscribed",
        pytest.approx(0.005),
    )
    assert not unsubscribed["is_decisive"]
    assert step_effects(pl.DataFrame(rows[::-1])).equals(step_effects(pl.DataFrame(rows)))


def test_few_held_out_leads_give_no_interval_and_none_give_no_row():
    few = step_effects(pl.DataFrame([group(False, 900, 90), group(True, 50, 2)]))
    assert few["interval_low"].to_list() == [None, None]
    nobody = step_effects(pl.DataFrame([group(False, 900, 90)]))
    assert (dict(nobody.schema), nobody.height) == (STEP_EFFECTS_SCHEMA, 0)
    empty = step_effects(pl.DataFrame([group(False, 0, 0), group(True, 0, 0)]))
    assert empty["effect"].to_list() == [None, None]


def of_split(sent, held_out, share):
    rows = [
        group(False, 9000, 900, share=share, leads=sent),
        group(True, 1000, 50, share=share, leads=held_out),
    ]
    return step_effects(pl.DataFrame(rows, infer_schema_length=None)).to_dicts()[0]


def test_another_share_held_out_than_declared_claims_no_effect_and_says_why():
    kept, broken = of_split(9000, 1000, 0.1), of_split(9000, 1000, 0.12)
    assert (kept["is_decisive"], kept["alarm"], kept["sample_ratio_p"]) == (True, None, 1.0)
    assert (broken["effect"], broken["interval_low"], broken["interval_high"]) == (None,) * 3
    assert not broken["is_decisive"]
    assert "1,000 of 10,000 leads were held out where 1,200 were to be" in broken["alarm"]
    assert broken["sample_ratio_p"] < 1e-6
    # What was counted stays to be seen.
    assert broken["rate_held_out"] == 0.05


def test_the_lot_is_that_of_leads_and_nothing_is_checked_where_no_share_is_declared():
    # Ten times the enrollments, by leads that came back: the lot was kept all the same.
    assert of_split(900, 112, 0.1)["alarm"] is None
    assert of_split(9000, 1120, 0.1)["alarm"] is not None
    unknown = of_split(9000, 1120, None)
    assert (unknown["sample_ratio_p"], unknown["alarm"], unknown["is_decisive"]) == (
        None, None, True,
    )  # fmt: skip
