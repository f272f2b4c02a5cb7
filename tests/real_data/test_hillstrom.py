"""Hillstrom's mailing: two mails and a group that got none; visits, sales, money, what mail brings."""

from datetime import UTC, datetime

import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.single_look import plain_p
from pipeline.warehouse.read import query
from tests.real_data.ring import MAPS, publish

MENS, WOMENS, NONE = "Mens E-Mail", "Womens E-Mail", "No E-Mail"
PAIRS = ((MENS, NONE), (WOMENS, NONE), (MENS, WOMENS))
# z, or Welch's t of money: mens − none, womens − none, mens − womens.
PUBLISHED = {
    "visit": (22.486, 13.949, 8.685),
    "conversion": (7.385, 3.780, 3.713),
    "spend": (5.3001, 3.2564, 2.1640),
}
# What each had spent in the year before, as the sales of one day: the history that gives a cap.
HISTORY = """
name: hillstrom
row_number: external_id
columns: {value: history}
constants: {kind: converted, name: sale, currency: USD, occurred_at: 2007-12-01T12:00:00Z}
"""


@pytest.fixture(scope="module")
def customers(shared_data):
    source = shared_data("hillstrom_email") / "hillstrom.csv.gz"
    return pl.read_csv(source, infer_schema_length=None)


@pytest.fixture
def told(drip, shared_data):
    """What `drip analyze` says of the file as it is."""
    source = shared_data("hillstrom_email") / "hillstrom.csv.gz"
    metrics = [part for name in PUBLISHED for part in ("--metric", name)]
    answer = drip("analyze", source, "--arm", "segment", "--control", NONE, *metrics, "--json")
    assert answer.code == 0, answer.err
    return answer.json()


def test_the_file_as_it_is_names_the_mens_mail(told):
    decision = told["decision"]
    assert (decision["state"], decision["winner"], decision["n"]) == ("winner", MENS, 64_000)
    assert decision["sample_ratio_p"] == pytest.approx(0.9037, abs=6e-5)
    rates = {
        (pair["metric"], pair[side]): pair[f"mean_{side}"]
        for pair in told["comparisons"]
        for side in ("arm", "baseline")
    }
    for metric, published in (
        ("custom(visit)", (0.182757, 0.151400, 0.106167)),
        ("custom(conversion)", (0.012531, 0.008837, 0.005726)),
        ("revenue(spend)", (1.422617, 1.077202, 0.652789)),
    ):
        found = [rates[metric, arm] for arm in (MENS, WOMENS, NONE)]
        assert found == pytest.approx(published, abs=6e-7)


def test_differences_and_intervals_are_the_published_ones(told):
    """Published are Wald's intervals, ours are Newcombe's: they differ where sales are rare."""
    found = {(pair["metric"], pair["arm"], pair["baseline"]): pair for pair in told["comparisons"]}
    for metric, arm, effect, low, high in (
        ("custom(visit)", MENS, 0.076590, 0.069954, 0.083226),
        ("custom(visit)", WOMENS, 0.045233, 0.038894, 0.051572),
        ("custom(conversion)", MENS, 0.006805, 0.005000, 0.008610),
        ("custom(conversion)", WOMENS, 0.003111, 0.001499, 0.004723),
    ):
        pair = found[metric, arm, NONE]
        assert pair["effect"] == pytest.approx(effect, abs=6e-7)
        ends = (pair["plain_95_low"], pair["plain_95_high"])
        assert ends == pytest.approx((low, high), abs=4e-5)
        assert pair["is_decisive"]
    for arm, effect in ((MENS, 0.769827), (WOMENS, 0.424412)):
        assert found["revenue(spend)", arm, NONE]["effect"] == pytest.approx(effect, abs=6e-7)
    between = found["revenue(spend)", WOMENS, MENS]
    assert between["effect"] == pytest.approx(-0.345415, abs=6e-7)


def sums(customers, arm, metric):
    values = customers.filter(segment=arm)[metric].cast(pl.Float64)
    return ArmStats(len(values), values.sum(), (values**2).sum())


@pytest.mark.parametrize("metric", PUBLISHED)
def test_a_single_look_has_the_published_statistics(customers, metric):
    pairs = [[sums(customers, arm, metric) for arm in pair] for pair in PAIRS]
    p_values = [plain_p(*pair) for pair in pairs]
    assert stats.norm.isf([p / 2 for p in p_values]) == pytest.approx(
        # Welch's t of 21,307 leads and more is a z, to four digits.
        PUBLISHED[metric],
        rel=2.5e-4,
    )
    assert multipletests(p_values, 0.05, "holm")[0].tolist() == [True, True, True]


def test_the_spread_of_money_is_the_published_one(customers):
    found = [sums(customers, arm, "spend") for arm in (MENS, WOMENS, NONE)]
    deviations = [(arm.variance * arm.n / (arm.n - 1)) ** 0.5 for arm in found]
    assert deviations == pytest.approx([17.754205, 15.116106, 11.588200], abs=6e-7)


@pytest.mark.prove
def test_the_ring_gives_the_published_counts_the_winner_and_what_mail_brings(
    home, tmp_path, shared_data, customers
):
    source = shared_data("hillstrom_email") / "hillstrom.csv.gz"
    history = tmp_path / "history.yml"
    history.write_text(HISTORY, encoding="utf-8")
    publish(
        home,
        tmp_path,
        [
            ("leads", source, MAPS / "hillstrom_leads.yml"),
            ("enrollments", source, MAPS / "hillstrom_enrollments.yml"),
            ("events", source, MAPS / "hillstrom_visits.yml"),
            ("events", source, MAPS / "hillstrom_conversions.yml"),
            ("events", source, history),
        ],
        datetime(2008, 5, 1, 12, tzinfo=UTC),
        ["recency"],
    )
    arms = query(
        home,
        "select arm, metric, sum(n_assigned)::bigint as n, sum(sum)::double as total "
        "from marts.experiment_arms where experiment_id = 'hillstrom_mail' group by all",
    )
    found = {(row["arm"], row["metric"]): (row["n"], row["total"]) for row in arms.to_dicts()}
    for arm, n, visits, sales, spend in (
        ("mens", 21_307, 3_894, 267, 30_311.69),
        ("womens", 21_387, 3_238, 189, 23_038.11),
        ("no_email", 21_306, 2_262, 122, 13_908.33),
    ):
        assert found[arm, "custom(visit)"] == (n, visits)
        assert found[arm, "goal(sale)"] == (n, sales)
        assert found[arm, "revenue(sale)"] == (n, pytest.approx(spend))
        # Nobody bought for more than 99 % had spent in the whole year before: the cap takes nothing.
        assert found[arm, "capped_revenue(sale)"] == (n, pytest.approx(spend))
    cap = query(home, "select cap from intermediate.int_experiment_metrics where cap is not null")
    assert cap["cap"].to_list() == pytest.approx([customers["history"].quantile(0.99, "linear")])

    [decision] = query(home, "select * from analysis.experiment_decisions").to_dicts()
    assert (decision["state"], decision["winner"]) == ("winner", "mens")
    assert decision["sample_ratio_p"] == pytest.approx(0.9037, abs=6e-5)
    rows = query(
        home,
        "select * from analysis.experiment_comparisons where is_against_held_out order by arm",
    ).to_dicts()
    lifts = {(row["metric"], row["arm"]): row for row in rows}
    for metric, published in (
        ("custom(visit)", (0.076590, 0.045233)),
        ("goal(sale)", (0.006805, 0.003111)),
        ("revenue(sale)", (0.769827, 0.424412)),
        ("capped_revenue(sale)", (0.769827, 0.424412)),
    ):
        found_lifts = [lifts[metric, arm] for arm in ("mens", "womens")]
        assert [row["baseline"] for row in found_lifts] == ["no_email"] * 2
        assert [row["effect"] for row in found_lifts] == pytest.approx(published, abs=6e-7)
        assert all(row["plain_95_low"] > 0 for row in found_lifts)
    assert lifts["custom(visit)", "womens"]["interval_low"] > 0
