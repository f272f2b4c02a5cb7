import polars as pl
import pytest

from pipeline.analysis.splits import SPLITS_SCHEMA, check_splits

EXPERIMENTS = pl.DataFrame(
    {
        "experiment_id": ["subject", "bandit", "changed"],
        "allocation": ["weights", "thompson", "equal"],
        "has_changing_shares": [False, False, True],
    }
)
ARMS = pl.DataFrame(
    [
        (experiment_id, arm, share)
        for experiment_id in EXPERIMENTS["experiment_id"]
        for arm, share in (("a", 0.45), ("b", 0.45), ("(holdout)", 0.1))
    ],
    schema=["experiment_id", "arm", "share"],
    orient="row",
)


def splits(*rows):
    names = ["experiment_id", "trait", "value", "arm", "n_assigned"]
    return pl.DataFrame(rows, schema=names, orient="row")


def of_source(value, a, b, held, experiment_id="subject"):
    counts = {"a": a, "b": b, "(holdout)": held}
    return [(experiment_id, "source", value, arm, n) for arm, n in counts.items() if n]


def test_the_source_that_lost_leads_in_one_arm_stands_out_and_no_other():
    found = check_splits(
        splits(
            *of_source("META", 455, 441, 104),
            *of_source("WEBINAR", 450, 300, 101),
            *of_source("SHOP", 90, 95, 20),
        ),
        EXPERIMENTS,
        ARMS,
    )
    assert dict(found.schema) == SPLITS_SCHEMA
    assert found.filter("is_uneven")["value"].unique().to_list() == ["WEBINAR"]
    row = found.row(by_predicate=(pl.col("value") == "META") & (pl.col("arm") == "b"), named=True)
    assert (row["n_assigned"], row["n_expected"]) == (441, pytest.approx(450))


def test_an_arm_that_nobody_of_a_value_has_is_there_with_nothing():
    found = check_splits(splits(*of_source("META", 500, 0, 100)), EXPERIMENTS, ARMS)
    missing = found.row(by_predicate=pl.col("arm") == "b", named=True)
    assert (missing["n_assigned"], missing["n_expected"]) == (0, pytest.approx(270))
    assert missing["is_uneven"]


def test_few_units_do_not_stand_out():
    found = check_splits(splits(*of_source("META", 20, 0, 0)), EXPERIMENTS, ARMS)
    assert found["q_value"].to_list() == [None] * 3
    assert not found["is_uneven"].any()


def test_shares_that_moved_have_no_declared_split():
    moved = [*of_source("META", 900, 9, 9, "bandit"), *of_source("META", 900, 9, 9, "changed")]
    assert check_splits(splits(*moved), EXPERIMENTS, ARMS).is_empty()


def test_the_order_of_rows_does_not_matter():
    rows = [*of_source("META", 455, 441, 104), *of_source("SHOP", 90, 195, 20)]
    forward, backward = (check_splits(splits(*r), EXPERIMENTS, ARMS) for r in (rows, rows[::-1]))
    assert forward.equals(backward)
