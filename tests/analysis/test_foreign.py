import json
import math
import random
from datetime import UTC, datetime

import polars as pl
import pytest

from pipeline.analysis.foreign import Question, analyze_file
from pipeline.settings import DripError

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def subjects(n=6000, rates=(0.05, 0.08), seed=3):
    rng = random.Random(seed)
    rows = []
    for ix in range(n):
        arm = "ab"[ix % 2]
        replied = rng.random() < rates[ix % 2]
        rows.append(
            {
                "lead": ix,
                "account": ix % (n // 3),
                "arm": arm,
                "replied": int(replied),
                "spend": round(rng.expovariate(1 / 40), 2) if replied else 0.0,
                "engaged": rng.random(),
            }
        )
    return pl.DataFrame(rows)


@pytest.fixture
def file(tmp_path):
    def write(frame, name="mails.csv"):
        path = tmp_path / name
        frame.write_parquet(path) if name.endswith("parquet") else frame.write_csv(path)
        return path

    return write


def ask(path, **changed):
    return analyze_file(path, Question(**{"arm": "arm", "metrics": ("replied",), **changed}), NOW)


def test_one_row_per_subject_is_decided_like_an_experiment_of_ours(file):
    found = ask(file(subjects()), metrics=("replied", "spend"), control="a")
    decision = found["decision"]
    assert (decision["state"], decision["winner"], decision["n"]) == ("winner", "b", 6000)
    assert [pair["metric"] for pair in found["comparisons"]] == ["replied", "revenue(spend)"]
    [replied, _] = found["comparisons"]
    frame = subjects()
    rates = {arm: rows["replied"].mean() for (arm,), rows in frame.group_by("arm")}
    assert replied["effect"] == pytest.approx(rates["b"] - rates["a"])


def test_sums_parquet_and_rows_in_any_order_say_the_same(file):
    frame = subjects()
    plain = ask(file(frame))
    shuffled = ask(file(frame.sample(fraction=1, shuffle=True, seed=1), "mails.parquet"))
    sums = frame.group_by("arm", "account", maintain_order=True).agg(
        n=pl.len(), sum=pl.col("replied").sum(), sum_squares=(pl.col("replied") ** 2).sum()
    )
    of_sums = ask(file(sums.with_columns(metric=pl.lit("replied")), "sums.csv"), metrics=())
    for other in (shuffled, of_sums):
        assert other["decision"] == plain["decision"]
        assert other["comparisons"] == plain["comparisons"]


def test_subjects_count_once_and_not_at_all_in_two_arms(file):
    frame = subjects()
    repeated = pl.concat([frame, frame.head(500)])
    assert ask(file(repeated), subject="lead")["decision"] == ask(file(frame))["decision"]
    crossed = pl.concat([frame, frame.head(40).with_columns(arm=pl.lit("b"))])
    found = ask(file(crossed), subject="lead")
    assert found["conflicting_subjects"] == 20
    assert found["decision"]["n_assigned"] == 6000 - 20
    crossed = pl.concat([frame, frame.head(400).with_columns(arm=pl.lit("b"))])
    assert ask(file(crossed), subject="lead")["decision"]["state"] == "invalid"


def test_subjects_whose_outcome_is_not_known_yet_are_assigned_only(file):
    frame = subjects().with_columns(
        replied=pl.when(pl.col("lead") < 5000).then("replied").otherwise(None)
    )
    decision = ask(file(frame))["decision"]
    assert (decision["n"], decision["n_assigned"]) == (5000, 6000)


def test_what_was_drawn_by_account_is_judged_by_account(file):
    frame = subjects().with_columns(
        arm=pl.when(pl.col("account") % 2 == 0).then(pl.lit("a")).otherwise(pl.lit("b"))
    )
    by_lead, by_account = ask(file(frame)), ask(file(frame), cluster="account")
    assert by_account["decision"]["n"] == 2000
    assert by_account["decision"]["effect"] == pytest.approx(by_lead["decision"]["effect"])
    with pytest.raises(DripError, match="not drawn as a whole"):
        ask(file(subjects().with_columns(account=pl.col("account") // 2)), cluster="account")


def test_a_covariate_leaves_the_effect_and_takes_noise(file):
    frame = subjects().with_columns(spend=pl.col("spend") + 300 * pl.col("engaged"))
    plain = ask(file(frame), metrics=("spend",))["comparisons"][0]
    adjusted = ask(file(frame), metrics=("spend",), covariate="engaged")["comparisons"][0]
    widths = [pair["interval_high"] - pair["interval_low"] for pair in (plain, adjusted)]
    assert widths[1] < 0.3 * widths[0]


def test_a_split_of_its_own_is_checked_against_what_was_declared(file):
    frame = subjects().filter((pl.col("arm") == "a") | (pl.col("lead") % 4 == 1))
    assert ask(file(frame))["decision"]["state"] == "invalid"
    assert ask(file(frame), shares={"a": 2, "b": 1})["decision"]["state"] != "invalid"


def test_unsubscribes_beside_an_outcome_are_a_guardrail(file):
    frame = subjects().with_columns(
        unsubscribed=((pl.col("arm") == "b") & (pl.col("lead") % 60 == 1)).cast(pl.Int8)
    )
    found = ask(file(frame), metrics=("replied", "unsubscribed"), control="a")
    assert found["decision"]["state"] == "harmful"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"arm": "group"}, "no column 'group': the file has lead, account"),
        ({"metrics": ()}, "--metric"),
        ({"metrics": ("arm",)}, "holds no numbers"),
        ({"arm": "lead"}, "'lead' has 60 values"),
        ({"control": "z"}, "no arm 'z': the file has a, b"),
        ({"shares": {"a": 1.0}}, "has to name each arm once: a, b"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write(file, changed, words):
    with pytest.raises(DripError, match=words):
        ask(file(subjects(60)), **changed)


def test_files_that_are_none_are_named(tmp_path):
    with pytest.raises(DripError, match="does not exist"):
        ask(tmp_path / "nowhere.csv")
    with pytest.raises(DripError, match="neither CSV nor Parquet"):
        ask(tmp_path / "mails.xlsx")
    broken = tmp_path / "broken.parquet"
    broken.write_text("no parquet")
    with pytest.raises(DripError, match="cannot be read"):
        ask(broken)
    empty = tmp_path / "empty.csv"
    empty.write_text("arm,replied\n")
    with pytest.raises(DripError, match="has no rows"):
        ask(empty)
    sums = tmp_path / "sums.csv"
    sums.write_text("arm,n,sum,sum_squares\na,10,1,1\nb,10,2,2\n")
    with pytest.raises(DripError, match="has no subjects"):
        ask(sums, cluster="arm")
    with pytest.raises(DripError, match="no sums of replied"):
        ask(sums)
    assert ask(sums, metrics=())["decision"]["state"] == "collecting"


# --- edges -----------------------------------------------------------------------------------------


def each(value):
    """Outcomes of 4,000 subjects, by their number."""
    return [value(ix) for ix in range(4000)]


@pytest.mark.parametrize(
    ("outcomes", "state", "words"),
    [
        pytest.param(each(lambda _: 0), "collecting", "0 of the 10", id="zero events"),
        pytest.param(each(lambda _: 1), "collecting", "leads without", id="everybody"),
        pytest.param(each(lambda ix: 900.5 * (ix == 7)), "collecting", "0 of the 10", id="a buyer"),
        pytest.param(each(lambda ix: ix // 2 % 9 == 0), "running", "No arm is ahead", id="tied"),
        pytest.param(each(lambda ix: -(ix % 7) - ix % 2), "winner", "a beats", id="refunds"),
        pytest.param(
            each(lambda ix: ix % 9 == 0 if ix < 100 else None),
            "collecting",
            "50 of the 100",
            id="few have matured",
        ),
    ],
)
def test_edges_of_a_file_have_a_label_and_no_nan(file, outcomes, state, words):
    frame = pl.DataFrame({"arm": ["a", "b"] * 2000, "y": outcomes})
    found = ask(file(frame), metrics=("y",))
    assert found["decision"]["state"] == state
    assert words in found["decision"]["reason"]
    json.dumps(found, default=str, allow_nan=False)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e200])
def test_values_that_no_sum_can_hold_are_refused(file, value):
    columns = {"y": [value, *[3.0] * 399], "z": [0, 1] * 200}
    path = file(pl.DataFrame({"arm": ["a", "b"] * 200, **columns}), "mails.parquet")
    with pytest.raises(DripError, match="Column 'y' holds NaN, infinite or far too large"):
        ask(path, metrics=("y",))
    with pytest.raises(DripError, match="Column 'z' or 'y' holds NaN"):
        ask(path, metrics=("z",), covariate="y")


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        ("1000,,", "sums of outcome, b are incomplete"),
        ("1000,nan,4", "sums of outcome, b are incomplete"),
        ("-100,10,10", "No -100 subjects"),
        ("1000,500,1", "sum_squares is the sum of the squared outcomes"),
        ("1000,3000,3000", "No 1,000 subjects have sum 3000"),
    ],
)
def test_what_cannot_be_sums_of_subjects_is_refused(tmp_path, sums, words):
    path = tmp_path / "sums.csv"
    path.write_text(f"arm,n,sum,sum_squares\na,1000,40,40\nb,{sums}\n")
    with pytest.raises(DripError, match=words):
        ask(path, metrics=())


def test_an_arm_without_subjects_is_a_broken_split_and_one_without_a_name_is_no_arm(tmp_path, file):
    path = tmp_path / "sums.csv"
    path.write_text("arm,n,sum,sum_squares\na,0,0,0\nb,1000,40,40\n")
    found = ask(path, metrics=())
    assert (found["decision"]["state"], found["decision"]["n"]) == ("invalid", 1000)
    json.dumps(found, default=str, allow_nan=False)
    with pytest.raises(DripError, match="Column 'arm' is empty"):
        ask(file(subjects(60).with_columns(arm=pl.lit(None, pl.String))))
