import json
from datetime import timedelta

import pytest

from pipeline.analysis.decision_rows import recompute
from pipeline.analysis.priors import learn_priors
from tests.analysis.test_decisions import NOW, bandit_days, decide, experiment, look_rows


def unsubscribed(days, rates):
    """The same days with their unsubscribes beside, by arm."""
    return days + [
        {
            **row,
            "metric": "unsubscribed",
            "is_primary": False,
            "sum_so_far": float(round(row["n_assigned"] * rates[row["arm"]])),
        }
        for row in days
    ]


def test_an_arm_of_a_bandit_that_does_harm_is_stopped_and_without_two_sound_ones_it_is_over():
    days = bandit_days()
    third = [{**row, "arm": "c", "role": "treatment"} for row in days if row["arm"] == "a"]
    bandit = experiment(allocation="thompson")
    harm = {"a": 0.01, "b": 0.06, "c": 0.01}
    for arms, state in ((days, "harmful"), (days + third, "running")):
        decisions, _ = decide([bandit], unsubscribed(arms, harm))
        [row] = decisions.to_dicts()
        evidence = json.loads(row["evidence"])
        assert (row["state"], row["winner"], evidence["stopped"]) == (state, None, ["b"])
        assert "b unsubscribed, and 20 of 2,000 of a, day by day" in row["reason"]
        again = recompute(evidence)
        assert (again.state, again.reason, again.n) == (row["state"], row["reason"], row["n"])
        # What was stopped stays stopped, and the looks are counted.
        later, _ = decide([bandit], arms, look_rows(decisions), now=NOW + timedelta(days=1))
        assert json.loads(later["evidence"][0])["stopped"] == ["b"]
        assert json.loads(later["evidence"][0])["looks"] == 2


@pytest.mark.parametrize("changed", [{"allocation": "thompson"}, {"has_changing_shares": True}])
def test_most_of_the_unsubscribes_beside_most_of_the_leads_are_no_harm(changed):
    # Three quarters of the leads are b's, and three quarters of the unsubscribes.
    arms = unsubscribed(bandit_days(), {"a": 0.04, "b": 0.04, "c": 0.04})
    assert decide([experiment()], arms)[0]["state"].to_list() == ["harmful"]
    [row] = decide([experiment(**changed)], arms)[0].to_dicts()
    assert (row["state"], json.loads(row["evidence"])["stopped"]) == ("running", [])


def test_a_bandit_that_is_over_for_harm_teaches_nothing_of_how_large_effects_are():
    arms = unsubscribed(bandit_days(), {"a": 0.01, "b": 0.06})
    decisions, _ = decide([experiment(allocation="thompson")], arms)
    evidence = json.loads(decisions["evidence"][0])
    assert evidence["state"] == "harmful"
    assert learn_priors([evidence] * 30) == {}
