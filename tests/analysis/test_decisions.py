import json
import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pipeline.analysis.decision_rows import (
    COMPARISONS_SCHEMA,
    DECISIONS_SCHEMA,
    recompute_bandit,
)
from pipeline.analysis.decisions import decide_experiments, look_day

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
LOOKS = {
    "experiment_id": pl.String,
    "looked_on": pl.Date,
    "state": pl.String,
    "winner": pl.String,
    "evidence": pl.String,
}
NO_LOOKS = pl.DataFrame(schema=LOOKS)


def experiment(experiment_id="subject", **changed):
    return {
        "experiment_id": experiment_id,
        "metric": "replied",
        "mode": "planned",
        "planned_leads": 10_000,
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


def day_rows(arm, events, n, day=1, **changed):
    return {
        "experiment_id": "subject",
        "metric": "replied",
        "is_primary": True,
        "arm": arm,
        "role": "control" if arm == "a" else "treatment",
        "share": 0.5,
        "assigned_on": date(2026, 3, day),
        "n_assigned": n,
        "n": n,
        "sum": float(events),
        "sum_squares": float(events),
        "sum_so_far": float(events),
        "n_engaged": 0,
        "sum_engaged": 0.0,
        "probability": 0.5,
        **changed,
    }


def look_rows(decisions):
    return decisions.select(*LOOKS)


def decide(experiments, arms, looks=NO_LOOKS, now=NOW):
    return decide_experiments(pl.DataFrame(experiments), pl.DataFrame(arms), looks, now)


def test_one_row_per_experiment_with_its_look_and_pairs():
    arms = [day_rows("a", 125, 2500), day_rows("b", 175, 2500)]
    arms += [day_rows("a", 125, 2500, 8), day_rows("b", 175, 2500, 8)]
    decisions, comparisons = decide([experiment()], arms)
    assert dict(decisions.schema) == DECISIONS_SCHEMA
    assert dict(comparisons.schema) == COMPARISONS_SCHEMA
    [row] = decisions.to_dicts()
    assert (row["state"], row["winner"], row["n"]) == ("winner", "b", 10_000)
    assert row["looked_on"] == date(2026, 3, 10)
    assert json.loads(row["evidence"])["has_full_week"]
    [pair] = comparisons.to_dicts()
    assert (pair["arm"], pair["baseline"], pair["is_decisive"]) == ("b", "a", True)
    assert pair["interval_low"] != pair["plain_95_low"]


def test_empty_frames_give_empty_frames_of_the_same_shape():
    experiments = pl.DataFrame([experiment()]).clear()
    arms = pl.DataFrame([day_rows("a", 1, 10)]).clear()
    decisions, comparisons = decide_experiments(experiments, arms, NO_LOOKS, NOW)
    assert dict(decisions.schema) == DECISIONS_SCHEMA
    assert dict(comparisons.schema) == COMPARISONS_SCHEMA
    assert decisions.height == comparisons.height == 0


def test_an_experiment_nobody_reached_is_collecting():
    decisions, comparisons = decide([experiment("quiet")], [day_rows("a", 1, 10)])
    assert decisions["state"].to_list() == ["collecting"]
    assert comparisons.height == 0


def test_a_second_refresh_of_the_day_repeats_the_look_and_spends_nothing():
    arms = [day_rows("a", 125, 2500), day_rows("b", 140, 2500)]
    first, pairs = decide([experiment()], arms)
    more = [*arms, day_rows("a", 0, 2500, 2), day_rows("b", 400, 2500, 2)]
    second, same_pairs = decide([experiment()], more, look_rows(first), NOW + timedelta(hours=5))
    assert second.equals(first)
    assert same_pairs.equals(pairs)


def test_the_next_day_is_a_new_look_that_remembers_the_last():
    arms = [day_rows("a", 125, 2500), day_rows("b", 140, 2500)]
    first, _ = decide([experiment()], arms)
    more = [*arms, day_rows("a", 125, 2500, 2), day_rows("b", 140, 2500, 2)]
    second, _ = decide([experiment()], more, look_rows(first), NOW + timedelta(days=1))
    evidence = json.loads(second["evidence"][0])
    assert evidence["looks"] == 2
    assert second["looked_on"][0] == date(2026, 3, 11)
    spent = [json.loads(f["evidence"][0])["pairs"][0]["boundary"]["spent"] for f in (first, second)]
    assert 0 < spent[0] < spent[1] == pytest.approx(0.04)


def test_a_person_who_named_a_winner_in_the_ledger_is_obeyed():
    arms = [day_rows("a", 125, 2500), day_rows("b", 125, 2500)]
    first, _ = decide([experiment()], arms)
    named = look_rows(first).with_columns(state=pl.lit("winner"), winner=pl.lit("b"))
    same_day, _ = decide([experiment()], arms, named)
    next_day, _ = decide([experiment()], arms, named, NOW + timedelta(days=1))
    for decisions in (same_day, next_day):
        assert decisions.select("state", "winner").row(0) == ("winner", "b")
    bare = named.with_columns(evidence=pl.lit("{}"))
    assert decide([experiment()], arms, bare)[0]["winner"].to_list() == ["b"]


def test_days_begin_at_six_in_the_zone_of_the_moment():
    zone = ZoneInfo("America/New_York")
    assert look_day(datetime(2026, 3, 10, 5, 59, tzinfo=zone)) == date(2026, 3, 9)
    assert look_day(datetime(2026, 3, 10, 6, 0, tzinfo=zone)) == date(2026, 3, 10)


def test_the_order_of_rows_does_not_matter():
    arms = [
        day_rows(arm, 13.7 * day, 300 + day, day, metric=metric, is_primary=metric == "replied")
        for arm in "ab"
        for day in range(1, 20)
        for metric in ("replied", "clicked")
    ]
    first = decide([experiment(), experiment("other")], arms)
    random.Random(5).shuffle(arms)
    second = decide([experiment("other"), experiment()], arms)
    assert all(one.equals(two) for one, two in zip(first, second, strict=True))


def test_secondary_metrics_never_decide_and_are_never_decisive_beside_a_zero_in_the_interval():
    arms = [day_rows("a", 250, 5000), day_rows("b", 250, 5000)]
    arms += [day_rows("a", 250, 5000, metric="clicked", is_primary=False)]
    arms += [day_rows("b", 450, 5000, metric="clicked", is_primary=False)]
    arms += [day_rows("a", 250, 5000, metric="opened", is_primary=False)]
    arms += [day_rows("b", 280, 5000, metric="opened", is_primary=False)]
    decisions, comparisons = decide([experiment()], arms)
    assert decisions["state"].to_list() == ["no_difference"]
    found = {row["metric"]: row for row in comparisons.iter_rows(named=True)}
    assert found["clicked"]["is_decisive"]
    assert not found["clicked"]["is_primary"]
    assert not found["opened"]["is_decisive"]
    assert found["opened"]["interval_low"] < 0
    assert len(json.loads(decisions["evidence"][0])["secondary"]) == 2


def test_conflicting_units_of_the_mart_make_it_invalid():
    arms = [day_rows("a", 250, 5000), day_rows("b", 450, 5000)]
    decisions, _ = decide([experiment(count_conflicting_units=300)], arms)
    assert decisions["state"].to_list() == ["invalid"]


def test_hillstrom_names_the_mens_mail_on_visits_and_both_mails_above_the_held_out(shared_data):
    table = pl.read_csv(
        shared_data("hillstrom_email") / "hillstrom.csv.gz", infer_schema_length=None
    )
    metrics = {"visit": "custom(visit)", "conversion": "goal(sale)", "spend": "revenue(sale)"}
    arms = [
        day_rows(
            segment,
            of_segment[column].cast(pl.Float64).sum(),
            of_segment.height,
            experiment_id="hillstrom",
            metric=metric,
            is_primary=column == "visit",
            role="held_out" if segment == "No E-Mail" else "treatment",
            share=1 / 3,
            sum_squares=(of_segment[column].cast(pl.Float64) ** 2).sum(),
        )
        for (segment,), of_segment in table.group_by("segment")
        for column, metric in metrics.items()
    ]
    design = experiment("hillstrom", metric="custom(visit)", mode="open", control=None)
    decisions, comparisons = decide([design], arms)
    [row] = decisions.to_dicts()
    assert (row["state"], row["winner"], row["n"]) == ("winner", "Mens E-Mail", 64_000)
    assert round(row["sample_ratio_p"], 4) == 0.9037
    assert row["effect"] == pytest.approx(0.031356, abs=1e-6)
    above = comparisons.filter(is_primary=True, is_against_held_out=True)
    assert above["is_decisive"].to_list() == [True, True]
    assert above["effect"].to_list() == pytest.approx([0.076590, 0.045233], abs=1e-6)
    spend = comparisons.filter(metric="revenue(sale)", is_against_held_out=True)
    assert spend["effect"].to_list() == pytest.approx([0.769827, 0.424412], abs=1e-6)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"allocation": "thompson"}, "weights follow the results"),
        ({"has_changing_shares": True}, "changed after the first draw"),
    ],
)
def test_arms_drawn_by_weights_that_moved_are_not_compared(changed, words):
    arms = [day_rows("a", 100, 5000), day_rows("b", 300, 5000)]
    plain, pairs = decide([experiment()], arms)
    assert plain["state"].to_list() == ["winner"]
    assert len(pairs) == 1
    decisions, comparisons = decide([experiment(**changed)], arms)
    row = decisions.row(0, named=True)
    assert (row["state"], row["winner"], row["effect"]) == ("running", None, None)
    assert words in row["reason"]
    assert (row["n"], row["n_assigned"]) == (10_000, 10_000)
    assert comparisons.is_empty()
    # A look the day after goes on from there.
    looks = pl.DataFrame(
        [
            {
                "experiment_id": "subject",
                "looked_on": row["looked_on"],
                "state": "running",
                "winner": None,
                "evidence": row["evidence"],
            }
        ]
    )
    again, _ = decide([experiment(**changed)], arms, looks, NOW + timedelta(days=1))
    assert again["state"].to_list() == ["running"]


def test_a_winner_named_before_the_weights_moved_stays():
    arms = [day_rows("a", 100, 5000), day_rows("b", 300, 5000)]
    first = decide([experiment()], arms)[0].row(0, named=True)
    looks = pl.DataFrame(
        [
            {
                name: first[name]
                for name in ("experiment_id", "looked_on", "state", "winner", "evidence")
            }
        ]
    )
    again, _ = decide([experiment(has_changing_shares=True)], arms, looks, NOW + timedelta(days=1))
    assert again["winner"].to_list() == ["b"]


def finished(experiment_id, relative, n=4000, base=0.1, state="no_difference", metric="replied"):
    """The ledger's latest look at a test that ended with this relative effect."""
    arms = [("a", base * (1 - relative / 2)), ("b", base * (1 + relative / 2))]
    evidence = {
        "design": {"metric": metric},
        "arms": [
            {
                "name": arm,
                "role": "treatment",
                "stats": {"n": n, "sum": n * p, "sum_squares": n * p},
            }
            for arm, p in arms
        ],
    }
    return {
        "experiment_id": experiment_id,
        "looked_on": date(2026, 2, 1),
        "state": state,
        "winner": None,
        "evidence": json.dumps(evidence),
    }


def test_the_honest_effect_stands_beside_the_measured_one():
    arms = [day_rows("a", 250, 5000), day_rows("b", 350, 5000)]
    decisions, comparisons = decide([experiment()], arms)
    [row], [pair] = decisions.to_dicts(), comparisons.to_dicts()
    assert (row["prior_spread"], row["prior_tests"]) == (0.1, 0)
    # d τ²/(τ² + se²) with τ a tenth of the base rate of 6 %.
    error = 0.05 * 0.95 / 5000 + 0.07 * 0.93 / 5000
    assert row["shrunk_effect"] == pytest.approx(0.02 * 0.006**2 / (0.006**2 + error))
    assert row["shrunk_low"] < row["shrunk_effect"] < row["shrunk_high"]
    assert row["probability_best"] == pytest.approx(pair["probability_better"])
    assert row["expected_loss"] < 1e-5
    best = json.loads(row["evidence"])["best"]
    assert best["a"]["probability"] + best["b"]["probability"] == pytest.approx(1)


def test_effects_are_learned_from_finished_tests_of_the_same_kind():
    arms = [day_rows("a", 250, 5000), day_rows("b", 350, 5000)]
    small = [finished(f"old {ix}", 0.02 * (-1) ** ix, n=400_000) for ix in range(24)]
    large = [finished(f"old {ix}", 0.5 * (-1) ** ix) for ix in range(24)]
    shown = []
    for old in (small, large):
        decisions, _ = decide([experiment()], arms, pl.DataFrame(old, schema=LOOKS))
        [row] = decisions.to_dicts()
        assert row["prior_tests"] == 24
        shown.append(row["shrunk_effect"])
    assert shown == [pytest.approx(0.001, abs=0.001), pytest.approx(0.0193, abs=0.0006)]
    unfinished = [finished(f"old {ix}", 0.5, state="running") for ix in range(24)]
    decisions, _ = decide([experiment()], arms, pl.DataFrame(unfinished, schema=LOOKS))
    assert decisions["prior_tests"].to_list() == [0]


def test_capped_money_learns_from_finished_tests_that_capped_money_decided():
    old = [finished(f"old {ix}", 0.5 * (-1) ** ix, metric="capped_revenue(x)") for ix in range(24)]
    arms = [
        day_rows(arm, 0, 5000, metric="capped_revenue(sale)", sum=total, sum_squares=total * 60)
        for arm, total in (("a", 10_000.0), ("b", 15_000.0))
    ]
    asked = [experiment(metric="revenue(sale)")]
    decisions, comparisons = decide(asked, arms, pl.DataFrame(old, schema=LOOKS))
    assert decisions["prior_tests"].to_list() == [24]
    assert comparisons["shrunk_effect"][0] == decisions["shrunk_effect"][0] > 0.95


def test_nothing_is_expected_before_burn_in():
    decisions, comparisons = decide([experiment()], [day_rows("a", 1, 40), day_rows("b", 3, 40)])
    columns = ["shrunk_effect", "shrunk_low", "probability_best", "expected_loss"]
    assert decisions.select(columns).row(0) == (None,) * 4
    assert comparisons["probability_better"].to_list() == [None]


def with_harm(complaints=(8, 40)):
    rows = [day_rows("a", 250, 8400), day_rows("b", 350, 8400)]
    return rows + [
        day_rows(arm, 0, 8400, metric="complained", is_primary=False, sum_so_far=float(count))
        for arm, count in zip("ab", complaints, strict=True)
    ]


def test_complaints_of_all_leads_so_far_stop_an_arm_and_are_no_secondary_metric():
    decisions, comparisons = decide([experiment()], with_harm())
    assert decisions.select("state", "winner").row(0) == ("harmful", None)
    assert json.loads(decisions["evidence"][0])["stopped"] == ["b"]
    assert comparisons["metric"].unique().to_list() == ["replied"]
    unwatched, _ = decide([experiment(guardrails=["unsubscribed"])], with_harm())
    assert unwatched["state"].to_list() == ["winner"]
    calm, _ = decide([experiment()], with_harm((8, 9)))
    assert calm["state"].to_list() == ["winner"]


def test_leads_that_were_lost_unevenly_on_the_way_break_the_test():
    arms = [day_rows("a", 250, 5000), day_rows("b", 350, 5000)]
    lost = [
        day_rows(arm, count, 5000, metric="unsent", is_primary=False)
        for arm, count in (("a", 40), ("b", 120))
    ]
    assert decide([experiment()], arms + lost)[0]["state"].to_list() == ["invalid"]


def bandit_days(rates=(0.05, 0.12), days=20):
    return [
        day_rows(arm, round(n * rate), n, day, probability=share)
        for day in range(1, days + 1)
        for arm, rate, n, share in (("a", rates[0], 100, 0.25), ("b", rates[1], 300, 0.75))
    ]


def test_arms_of_a_bandit_are_compared_by_their_days_and_name_no_winner():
    decisions, comparisons = decide([experiment(allocation="thompson")], bandit_days())
    assert decisions.select("state", "winner", "effect").row(0) == ("running", None, None)
    [pair] = comparisons.to_dicts()
    assert (pair["arm"], pair["baseline"], pair["mean_arm"]) == ("b", "a", None)
    assert pair["effect"] == pytest.approx(0.07, abs=0.005)
    assert pair["interval_low"] < pair["effect"] < pair["interval_high"]
    assert pair["is_decisive"]
    assert pair["p_value"] < 0.05
    young = decide([experiment(allocation="thompson")], bandit_days(days=2))[1]
    assert young.is_empty()
    money = [{**row, "metric": "revenue(sale)"} for row in bandit_days()]
    design = experiment(allocation="thompson", metric="revenue(sale)")
    assert decide([design], money)[1].is_empty()


def test_arms_of_a_bandit_are_compared_again_from_what_a_look_has_stored():
    arms = [row | {"n": row["n"] + 7 * row["assigned_on"].day} for row in bandit_days()]
    decisions, comparisons = decide([experiment(allocation="thompson")], arms)
    (stored,) = decisions["evidence"]
    (again,) = recompute_bandit(json.loads(stored))
    pair = comparisons.row(0, named=True)
    for name in ("arm", "baseline", "n_arm", "effect", "interval_low", "interval_high", "p_value"):
        assert getattr(again, name) == pair[name]
    fewer = json.loads(stored)
    fewer["batches"]["b"].popitem()
    assert recompute_bandit(fewer)[0].effect != again.effect


def test_what_was_known_before_the_draw_takes_noise_out_of_the_effect():
    # Half of the leads had answered before; they reply in 9 of 10 cases, the others never.
    arms = [
        day_rows("a", 1125, 5000, n_engaged=1250, sum_engaged=1125.0),
        day_rows("b", 1350, 5000, n_engaged=1350, sum_engaged=1215.0),
    ]
    [pair] = decide([experiment()], arms)[1].to_dicts()
    assert pair["effect"] == pytest.approx(0.045)
    # By chance b had more of those who answer anyway.
    assert 0 < pair["adjusted_effect"] < 0.034
    width = pair["interval_high"] - pair["interval_low"]
    assert pair["adjusted_high"] - pair["adjusted_low"] < 0.5 * width
    [plain] = decide([experiment()], [day_rows("a", 250, 5000), day_rows("b", 350, 5000)])[
        1
    ].to_dicts()
    assert plain["adjusted_effect"] == pytest.approx(plain["effect"])
    assert plain["adjusted_low"] == pytest.approx(plain["interval_low"])


def test_of_money_the_capped_sums_decide_and_the_raw_ones_stand_beside():
    def money(arm, capped, raw):
        return [
            day_rows(arm, 0, 5000, metric="capped_revenue(sale)", sum=capped, sum_squares=capped * 60),
            day_rows(arm, 0, 5000, metric="revenue(sale)", is_primary=False, sum=raw, sum_squares=raw * 900),
        ]  # fmt: skip

    arms = [*money("a", 10_000.0, 12_000.0), *money("b", 15_000.0, 16_000.0)]
    decisions, comparisons = decide([experiment(metric="revenue(sale)")], arms)
    row = decisions.row(0, named=True)
    assert (row["metric"], row["winner"]) == ("capped_revenue(sale)", "b")
    assert row["effect"] == pytest.approx(1.0)
    assert "per lead" in row["reason"]
    assert comparisons["metric"].to_list() == ["capped_revenue(sale)", "revenue(sale)"]


@pytest.mark.parametrize(("has_different_senders", "is_said"), [(True, True), (False, False)])
def test_arms_of_different_senders_say_that_their_effect_is_that_of_few(
    has_different_senders, is_said
):
    arms = [day_rows("a", 125, 2500), day_rows("b", 175, 2500)]
    decisions, _ = decide([experiment(has_different_senders=has_different_senders)], arms)
    assert ("Few senders" in decisions["reason"][0]) is is_said
    assert decisions["reason"][0].startswith("No arm is ahead")
