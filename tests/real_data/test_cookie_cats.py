"""Cookie Cats: one gate of a game against another, asked as somebody would who sends elsewhere."""

import pytest

from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.single_look import plain_p

PLAYERS = 90_189
ROUNDS = "revenue(sum_gamerounds)"


@pytest.fixture
def ask(drip, shared_data):
    """Run `drip analyze` on the file; return the decision and its comparisons by metric."""
    file = shared_data("cookie_cats") / "cookie_cats.csv.gz"

    def run(*more):
        asked = ("--arm", "version", "--subject", "userid", "--metric", "retention_7", *more)
        told = drip("analyze", file, *asked, "--json")
        assert told.code == 0, told.err
        found = told.json()
        return found["decision"], {pair["metric"]: pair for pair in found["comparisons"]}

    return run


def test_the_published_rates_and_intervals(ask):
    decision, pairs = ask("--metric", "retention_1", "--metric", "sum_gamerounds")
    assert decision["n"] == PLAYERS
    first, second = pairs["custom(retention_1)"], pairs["custom(retention_7)"]
    assert (first["n_baseline"], first["n_arm"]) == (44_700, 45_489)
    for pair, rates, published in (
        (first, (0.448188, 0.442283), (-0.005905, -0.012392, 0.000582)),
        (second, (0.190201, 0.182000), (-0.008201, -0.013282, -0.003121)),
    ):
        assert (pair["mean_baseline"], pair["mean_arm"]) == pytest.approx(rates, abs=6e-7)
        found = (pair["effect"], pair["plain_95_low"], pair["plain_95_high"])
        # Published are Wald's intervals, ours are Newcombe's.
        assert found == pytest.approx(published, abs=2e-6)
    rounds = pairs[ROUNDS]
    assert rounds["mean_baseline"] == pytest.approx(52.4563, abs=6e-5)
    assert rounds["mean_arm"] == pytest.approx(51.2988, abs=6e-5)
    # One player of 49,854 rounds is most of the spread.
    assert rounds["plain_95_low"] < 0 < rounds["plain_95_high"]


def test_the_published_p_values():
    for (kept_40, kept_30), published in (((20_119, 20_034), 0.0744), ((8_279, 8_502), 0.00155)):
        arms = ArmStats(45_489, kept_40, kept_40), ArmStats(44_700, kept_30, kept_30)
        assert plain_p(*arms) == pytest.approx(published, rel=5e-3)


def test_players_who_were_all_planned_for_keep_the_gate_at_level_30(ask):
    decision, _ = ask("--planned", PLAYERS)
    assert (decision["state"], decision["winner"]) == ("winner", "gate_30")
    assert decision["effect"] == pytest.approx(0.008201, abs=6e-7)
    # A plan spends four fifths of the error; who may look for ever needs more than 90,189 players.
    assert 0.00155 < decision["p_value"] < 0.01
    open_ended, _ = ask()
    assert (open_ended["state"], open_ended["p_value"]) == (
        "running",
        pytest.approx(0.085, abs=1e-3),
    )


def test_a_split_that_is_somewhat_off_is_shown_and_no_alarm(ask):
    """Chi-square 6.9024: a tool that warns at 1 % warns here, one that warns at 0.1 % does not."""
    decision, _ = ask()
    assert decision["sample_ratio_p"] == pytest.approx(0.0086, abs=6e-5)
    assert decision["state"] != "invalid"
    assert 0.001 < decision["sample_ratio_p"] < 0.01
