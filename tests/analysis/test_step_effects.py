"""What a step adds: a difference by lot or nothing."""

import polars as pl
import pytest

from pipeline.analysis.step_effects import STEP_EFFECTS_SCHEMA, step_effects


def group(is_held_out, n, converted, unsubscribed=0, step_id="nudge"):
    return {
        "sequence_id": "welcome",
        "step_id": step_id,
        "is_held_out": is_held_out,
        "n_reached": n + 5,
        "n": n,
        "count_converted": converted,
        "count_unsubscribed": unsubscribed,
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
