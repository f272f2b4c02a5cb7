import itertools
import math
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from scipy import stats

from pipeline.analysis.few_clusters import ClusterSums, few_arms, least_p, permutation_p
from pipeline.analysis.foreign import Question, analyze_file

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def sums(outcomes, leads):
    return ClusterSums(np.array(outcomes, dtype=float), np.array(leads, dtype=float))


def mailboxes(rates, seed=4, leads=60, spread=0.0, names="ab"):
    """A file of leads drawn by mailbox: how many mailboxes an arm has, and how often one answers."""
    rng = np.random.default_rng(seed)
    rows = []
    for arm, of_arm in zip(names, rates, strict=True):
        for box, rate in enumerate(of_arm):
            chance = min(1.0, max(0.0, rate + spread * rng.standard_normal()))
            for replied in rng.random(leads + box % 3) < chance:
                rows.append({"arm": arm, "mailbox": f"{arm}{box}", "replied": int(replied)})
    return pl.DataFrame(rows)


def ask(tmp_path, frame, **changed):
    path = tmp_path / "mails.csv"
    frame.write_csv(path)
    question = Question(arm="arm", metrics=("replied",), cluster="mailbox", **changed)
    return analyze_file(path, question, NOW)


def test_the_p_is_the_share_of_all_draws_that_part_the_rates_as_far():
    arm, baseline = sums([9, 7, 3, 8], [60, 40, 50, 45]), sums([2, 4, 1], [55, 70, 30])
    y = np.concatenate([arm.outcomes, baseline.outcomes])
    x = np.concatenate([arm.leads, baseline.leads])

    def apart(chosen):
        rest = [ix for ix in range(7) if ix not in chosen]
        chosen = list(chosen)
        return y[chosen].sum() / x[chosen].sum() - y[rest].sum() / x[rest].sum()

    draws = np.array([apart(chosen) for chosen in itertools.combinations(range(7), 4)])
    seen = apart(range(4))
    expected = 2 * min((draws >= seen - 1e-12).mean(), (draws <= seen + 1e-12).mean())
    assert permutation_p(arm, baseline) == pytest.approx(expected)
    assert permutation_p(baseline, arm) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arm", "baseline"),
    [
        (sums([], []), sums([1], [5])),
        (sums([1], [5]), sums([2], [5])),
        (sums([0, 0], [5, 5]), sums([0, 0], [5, 5])),
        (sums([5], [5]), sums([0] * 30, [5] * 30)),
    ],
    ids=["no cluster", "one each", "no outcome", "one and many"],
)
def test_edges_have_a_p_between_the_least_and_one(arm, baseline):
    assert least_p(len(arm), len(baseline)) - 1e-9 <= permutation_p(arm, baseline) <= 1


def test_equal_arms_of_few_clusters_are_told_apart_no_more_often_than_allowed():
    """Six and six mailboxes of which some answer far better: a test of leads is wrong by far."""
    rng = np.random.default_rng(12)
    worlds, leads, found, naive = 250, 200, 0, 0
    for _ in range(worlds):
        chances = np.clip(rng.normal(0.08, 0.03, 12), 0.005, 1)
        replied = rng.binomial(leads, chances).astype(float)
        found += (
            permutation_p(sums(replied[:6], [leads] * 6), sums(replied[6:], [leads] * 6)) <= 0.05
        )
        table = [[part.sum(), 6 * leads - part.sum()] for part in (replied[:6], replied[6:])]
        naive += stats.chi2_contingency(table, correction=False).pvalue <= 0.05
    error = 3 * math.sqrt(0.05 * 0.95 / worlds)
    assert found / worlds <= 0.05 + error
    assert naive / worlds > 0.15


def test_a_plain_difference_of_few_mailboxes_wins_at_the_end_of_a_plan_only(tmp_path):
    frame = mailboxes([[0.05] * 8, [0.30] * 8])
    going = ask(tmp_path, frame, control="a")
    assert going["few_clusters"] == ["a", "b"]
    assert (going["decision"]["state"], going["decision"]["winner"]) == ("running", None)
    assert "Few clusters: a has 8 and b has 8" in going["decision"]["reason"]
    assert "--planned" in going["decision"]["reason"]
    over = ask(tmp_path, frame, control="a", planned=16)
    assert (over["decision"]["state"], over["decision"]["winner"]) == ("winner", "b")
    [pair] = over["comparisons"]
    assert pair["p_value"] == over["decision"]["p_value"] == pytest.approx(2 / math.comb(16, 8))
    assert over["decision"]["effect"] == pair["effect"] > 0.15
    # Nothing of the normal approximation is left.
    assert {pair["interval_low"], pair["plain_95_low"], pair["shrunk_effect"]} == {None}
    assert over["decision"]["interval_low"] is None


def test_mailboxes_that_differ_among_themselves_are_no_difference(tmp_path):
    frame = mailboxes([[0.02, 0.02, 0.25, 0.3], [0.02, 0.2, 0.3, 0.35]], leads=400)
    found = ask(tmp_path, frame, control="a", planned=8)
    assert found["decision"]["state"] == "no_difference"
    assert found["decision"]["p_value"] > 0.3


def test_so_few_clusters_that_nothing_can_be_shown_are_told_so(tmp_path):
    found = ask(tmp_path, mailboxes([[0.02] * 3, [0.4] * 3]), control="a", planned=6)
    assert found["decision"]["winner"] is None
    assert "cannot get p below 0.1" in found["decision"]["reason"]


def test_a_winner_beats_the_arm_of_few_clusters_as_well(tmp_path):
    rates = [[0.05] * 120, [0.30] * 120, [0.02] * 6]
    frame = mailboxes(rates, leads=6, names="abc")
    shares = {"a": 120 / 246, "b": 120 / 246, "c": 6 / 246}
    found = ask(tmp_path, frame, control="a", planned=246, shares=shares)
    assert found["few_clusters"] == ["c"]
    assert (found["decision"]["state"], found["decision"]["winner"]) == ("winner", "b")
    by_arms = {(pair["arm"], pair["baseline"]): pair for pair in found["comparisons"]}
    assert by_arms["b", "a"]["interval_low"] is not None
    assert by_arms["c", "a"]["interval_low"] is None


def test_many_clusters_stay_with_the_rules_for_many_and_the_split_is_that_of_clusters(tmp_path):
    # Leads of an arm are as many as its clusters happen to have: that is no broken split.
    frame = pl.concat([mailboxes([[0.05] * 150], leads=5, names="a"),
                       mailboxes([[0.05] * 150], leads=60, names="b")])  # fmt: skip
    found = ask(tmp_path, frame, control="a")
    assert found["few_clusters"] == []
    assert found["decision"]["n_assigned"] == 300
    assert found["decision"]["sample_ratio_p"] == 1
    assert found["comparisons"][0]["interval_low"] is not None


def test_who_has_a_cluster_and_fewer_than_ten_has_few():
    some = {"a": sums([1] * 10, [5] * 10), "b": sums([1] * 9, [5] * 9), "c": sums([], [])}
    assert few_arms(some) == ["b"]
