"""Sizes of tests, and anybody's test decided."""

import re
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "analyze" / "subject_lines.csv"


def test_the_example_of_the_readme_says_what_the_readme_says(drip, monkeypatch):
    monkeypatch.chdir(ROOT)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [line] = re.findall(r"^drip (analyze .*)$", readme, flags=re.MULTILINE)
    [words] = re.findall(r"```text\n(winner: .*?)\n```", readme, flags=re.DOTALL)
    told = drip(*line.split())
    assert told.code == 0, told.err
    for part in words.splitlines():
        assert part in told.out
    found = drip(*line.split(), "--json").json()
    assert found["decision"]["winner"] == "question"
    assert found["comparisons"][0]["shrunk_effect"] < found["comparisons"][0]["effect"]


def test_shares_are_read_and_what_is_wrong_is_said(drip):
    ask = ("analyze", EXAMPLE, "--arm", "subject", "--metric", "replied")
    told = drip(*ask, "--share", "plain=50%", "--share", "question=50%", "--json")
    assert told.json()["decision"]["sample_ratio_p"] == 1
    broken = drip(*ask, "--share", "plain=90%", "--share", "question=10%")
    assert broken.out.startswith("invalid")
    for wrong, words in (
        (("--share", "plain"), "names no arm: write it like b=30%"),
        (("--share", "plain=much"), "is no number: write 5% or 0.05"),
        (("--alpha", "5"), "is no share"),
    ):
        told = drip(*ask, *wrong)
        assert (told.code, told.out) == (1, "")
        assert words in told.err


def test_a_plan_says_leads_days_and_what_the_volume_shows(drip):
    plan = drip("plan-test", "--base", "5%", "--target", "6%", "--per-day", "300", "--json").json()
    [row] = plan["plans"]
    assert (row["leads"], row["leads_looked_at_once"]) == (18_077, 16_286)
    assert row["days"] == pytest.approx(18_077 / 300 + 14, abs=0.01)
    targets = [seen["target"] for seen in plan["detectable"]]
    assert targets == sorted(targets, reverse=True)
    told = drip("plan-test", "--base", "0.05")
    assert "+20 %" in told.out
    assert "18,077" in told.out
    larger = drip("plan-test", "--base", "25%", "--target", "30%", "--machines", "60%", "--json")
    clean = drip("plan-test", "--base", "25%", "--target", "30%", "--json")
    ratio = larger.json()["plans"][0]["leads"] / clean.json()["plans"][0]["leads"]
    assert ratio == pytest.approx(6.46, abs=0.01)
    money = drip("plan-test", "--base", "6", "--deviation", "70", "--target", "8.4")
    assert "29,648" in money.out


def test_a_plan_starts_from_a_step_of_the_warehouse(drip, tmp_path):
    told = drip("plan-test", "--step", "nurture/hello")
    assert told.code == 1
    assert "drip refresh" in told.err
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    with duckdb.connect(str(home / "warehouse.duckdb")) as con:
        con.execute(
            """
            create schema meta;
            create table meta.refresh as select timestamptz '2026-03-31 12:00:00Z' as refreshed_at;
            create schema marts;
            create table marts.sends as
            select 'nurture' as sequence_id, 'hello' as step_id, true as was_sent,
                i % 20 = 0 as was_replied, false as was_clicked, false as was_opened,
                false as was_opened_any,
                timestamptz '2026-03-31 11:59:00Z' - to_hours(cast(i as integer)) as handed_over_at
            from range(0, 672) as t (i);
            """
        )
    plan = drip("plan-test", "--step", "nurture/hello", "--json").json()
    assert plan["base"] == pytest.approx(0.05, abs=0.001)
    assert plan["leads_per_day"] == pytest.approx(24, abs=0.9)
    assert len(plan["plans"]) == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Nothing to start from"),
        (("--base", "x"), "is no number"),
        (("--base", "120%"), "is no share"),
        (("--base", "5%", "--target", "5%"), "no test finds a difference of nothing"),
        (("--base", "5%", "--mode", "often"), "neither planned nor open"),
        (("--base", "5%", "--window", "soon"), "whole number with a unit"),
    ],
)
def test_a_plan_that_cannot_be_made_says_what_to_write(drip, arguments, words):
    told = drip("plan-test", *arguments)
    assert (told.code, told.out) == (1, "")
    assert words in told.err
