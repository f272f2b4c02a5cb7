import pytest

from pipeline.analysis.priors import learn_priors, metric_kind


def look(relative, metric="replied", state="winner", n=100_000):
    """The evidence of a look at arms whose means differ by this part of their base rate."""
    means = {"h": 0.02, "a": 0.1 * (1 - relative / 2), "b": 0.1 * (1 + relative / 2)}
    return {
        "state": state,
        "design": {"metric": metric},
        "arms": [
            {
                "role": "held_out" if name == "h" else "treatment",
                "stats": {"n": n, "sum": n * mean, "sum_squares": n * mean},
            }
            for name, mean in means.items()
        ],
    }


def test_the_spread_of_effects_is_that_of_the_finished_tests_without_their_noise():
    looks = [look(0.2 * (-1) ** ix) for ix in range(30)]
    looks += [look(5.0, state=state) for state in ("running", "collecting", "invalid")]
    [(kind, prior)] = learn_priors(looks).items()
    assert (kind, prior.count_tests) == ("replied", 30)
    assert prior.spread == pytest.approx(0.2, rel=0.05)


def test_each_kind_of_metric_learns_from_its_own():
    looks = [look(0.2, "goal(sale)"), look(0.1, "goal(trial)"), look(0.3, "clicked")]
    assert {kind: prior.count_tests for kind, prior in learn_priors(looks).items()} == {
        "goal": 2,
        "clicked": 1,
    }


def test_arms_before_burn_in_and_looks_without_arms_teach_nothing():
    assert learn_priors([{}, {"state": "winner", "arms": []}]) == {}
    assert learn_priors([look(0.2, n=90)])["replied"].count_tests == 0


def test_a_kind_is_the_name_before_the_goal():
    assert metric_kind("capped_revenue(sale)") == "capped_revenue"
    assert metric_kind("replied") == "replied"
