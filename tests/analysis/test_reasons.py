import pytest

from pipeline.analysis import reasons
from pipeline.analysis.comparisons import Arm, ArmStats, Design, compare_arms
from pipeline.analysis.sample_ratio import check_sample_ratio
from pipeline.analysis.shrinkage import Prior


def compared(metric, one, other):
    arms = [Arm("a", "control", stats=one), Arm("b", stats=other)]
    return compare_arms(Design(metric, control="a", planned_leads=16_296), arms)[0]


def test_a_comparison_of_shares_is_told_in_per_cent_and_points():
    text = reasons.measured(compared("replied", ArmStats(8148, 407, 407), ArmStats(8148, 505, 505)))
    assert text == (
        "replied: b 6.20 %, a 5.00 %, difference +1.20 points (interval +0.11 to +2.30)"
    )


def test_a_comparison_of_money_is_told_per_lead():
    one, other = ArmStats(500, 1000.0, 9000.0), ArmStats(500, 1500.0, 14000.0)
    text = reasons.measured(compared("revenue(sale)", one, other))
    assert text.startswith("revenue(sale): b 3.00 per lead, a 2.00 per lead, difference +1.00")
    assert "points" not in text


def test_a_comparison_before_burn_in_has_no_interval():
    text = reasons.measured(compared("replied", ArmStats(50, 5, 5), ArmStats(50, 6, 6)))
    assert text == "replied: b 12.00 %, a 10.00 %, difference +2.00 points"
    text = reasons.measured(compared("replied", ArmStats(50, 5, 5), ArmStats()))
    assert text == "b and a cannot be compared yet"


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        pytest.param(Arm("b", n_assigned=7), "No lead in b has completed", id="nobody matured"),
        pytest.param(Arm("b", stats=ArmStats(40, 3, 3)), "b has 40 of the 100", id="few leads"),
        pytest.param(Arm("b", stats=ArmStats(400, 3, 3)), "b has 3 of the 10", id="few events"),
        pytest.param(Arm("b", stats=ArmStats(400, 395, 395)), "fewer than 10", id="nearly all"),
    ],
)
def test_a_cold_arm_says_what_it_lacks(arm, words):
    assert words in reasons.collecting("replied", arm)


def test_a_broken_split_names_every_group_and_what_to_do():
    ratio = check_sample_ratio({"a": 1080, "b": 920}, {"a": 0.5, "b": 0.5})
    text = reasons.split_alarm(ratio)
    assert "a has 1,080 of 1,000 expected and b has 920 of 1,000 expected (p = 0.00035)" in text
    assert "analysis.split_checks tells" in text


def test_leads_in_two_arms_are_counted_in_words():
    assert "30 of 1,000 leads" in reasons.conflict_alarm(30, 1000)


def test_names_are_listed_as_in_a_sentence():
    assert reasons.listed([]) == ""
    assert reasons.listed(["a"]) == "a"
    assert reasons.listed(["a", "b", "c"]) == "a, b and c"


def test_an_honest_effect_says_where_its_prior_comes_from():
    young = reasons.honest("replied", 0.02, (0.008, -0.001, 0.017), Prior())
    assert young.startswith("Honest to expect is +0.80 points (-0.10 to +1.70) where +2.00 points")
    assert "Until 20 comparisons" in young
    learned = reasons.honest("revenue(sale)", 2.0, (1.5, 0.5, 2.5), Prior(0.123, 31))
    assert "+1.50 per lead (+0.50 to +2.50)" in learned
    assert (
        "31 comparisons of finished tests say that effects of this kind spread by 12 %" in learned
    )
