"""Drop-off told by hand, and by the law that all shares and who is still in make one whole."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from pipeline.analysis.dropoff import DROP_OFF_SCHEMA, drop_off

SCHEMA = {
    "sequence_id": pl.String,
    "version": pl.String,
    "step_ix": pl.Int64,
    "step_id": pl.String,
    "ended_as": pl.String,
    "is_dropped": pl.Boolean,
    "count_enrollments": pl.Int64,
}
DROPPED = {"unsubscribed", "bounced", "stopped"}


def endings(*rows, version="v1"):
    """Rows of step, way of ending, count."""
    return pl.DataFrame(
        [("welcome", version, ix, f"s{ix}", end, end in DROPPED, n) for ix, end, n in rows],
        schema=SCHEMA,
        orient="row",
    )


def test_a_late_step_loses_few_of_all_and_many_of_its_own():
    found = drop_off(
        endings(
            (0, "unsubscribed", 10),
            (0, "replied", 10),
            (0, "active", 60),
            (3, "unsubscribed", 10),
            (3, "completed", 10),
        )
    )
    rows = {(row["step_ix"], row["ended_as"]): row for row in found.to_dicts()}
    assert set(rows) == {(0, "unsubscribed"), (0, "replied"), (3, "unsubscribed"), (3, "completed")}
    first, last = rows[0, "unsubscribed"], rows[3, "unsubscribed"]
    assert (first["n_at_risk"], last["n_at_risk"]) == (100, 20)
    assert (first["hazard"], last["hazard"]) == (0.1, 0.5)
    assert (last["hazard_low"], last["hazard_high"]) == pytest.approx(
        proportion_confint(10, 20, method="wilson")
    )
    # Of those still in at step 0 as many are expected to go on as of the others: 0.8 of all.
    assert last["share"] == pytest.approx(0.1 + 0.8 * 0.5)
    assert last["share_low"] < last["share"] < last["share_high"]


def test_an_edit_begins_a_new_cohort_and_nothing_is_an_empty_frame():
    both = pl.concat([endings((0, "bounced", 5)), endings((0, "bounced", 1), version="v2")])
    assert drop_off(both).select("version", "n_at_risk").rows() == [("v1", 5), ("v2", 1)]
    empty = drop_off(both.clear())
    assert (dict(empty.schema), empty.height) == (DROP_OFF_SCHEMA, 0)
    assert drop_off(endings((0, "active", 9), (1, "paused", 2))).height == 0


ROWS = st.lists(
    st.tuples(
        st.integers(-1, 6),
        st.sampled_from(["active", "replied", "unsubscribed", "bounced", "completed"]),
        st.integers(1, 50),
    ),
    min_size=1,
    max_size=25,
)


@given(ROWS)
def test_the_shares_of_all_ends_never_exceed_the_whole_and_order_does_not_matter(rows):
    found = drop_off(endings(*rows))
    assert found.equals(drop_off(endings(*rows[::-1])))
    if found.height:
        last = found.group_by("ended_as").agg(pl.col("share").max())
        assert last["share"].sum() <= 1 + 1e-9
        if not any(end == "active" for _, end, _ in rows):
            assert last["share"].sum() == pytest.approx(1)
        inside = (found["hazard_low"] <= found["hazard"] + 1e-12) & (
            found["hazard"] <= found["hazard_high"] + 1e-12
        )
        assert inside.all()


def test_later_calls_of_the_bank_bring_less_of_those_still_called(shared_data):
    """Published: 17,642 clients were called once, 13.04 % of them said yes, and so on."""
    source = shared_data("uci_bank_marketing") / "bank-additional-full.csv.gz"
    calls = pl.read_csv(source, separator=";", columns=["campaign", "y"]).select(
        sequence_id=pl.lit("bank"),
        version=pl.lit("2008"),
        step_ix=pl.col("campaign") - 1,
        step_id=pl.col("campaign").cast(pl.String),
        ended_as=pl.when(pl.col("y") == "yes")
        .then(pl.lit("converted"))
        .otherwise(pl.lit("completed")),
        is_dropped=False,
        count_enrollments=1,
    )
    found = drop_off(calls)
    converted = found.filter(ended_as="converted").sort("step_ix")
    assert converted["count_ended"].sum() == 4_640
    counts = found.group_by("step_ix").agg(pl.col("count_ended").sum()).sort("step_ix")
    rates = converted.join(counts, on="step_ix", suffix="_all").sort("step_ix").head(7)
    assert rates["count_ended_all"].to_list() == [17_642, 10_570, 5_341, 2_651, 1_599, 979, 629]
    published = [0.1304, 0.1146, 0.1075, 0.0939, 0.0750, 0.0766, 0.0604]
    shares = (rates["count_ended"] / rates["count_ended_all"]).to_list()
    assert shares == pytest.approx(published, abs=6e-5)
    # Of all who come to a call, not of those whose last it is: 5.6 % at the first.
    first = converted.row(0, named=True)
    assert (first["n_at_risk"], first["hazard"]) == (
        41_188,
        pytest.approx(0.1304 * 17_642 / 41_188, abs=1e-4),
    )
    assert converted["share"].max() == pytest.approx(4_640 / 41_188)
