import runpy
import subprocess
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import findings
from pipeline.analysis.findings import (
    Curve,
    CurvePoint,
    Query,
    Rate,
    Stage,
    ask,
    largest_loss,
    name_metric,
    next_step,
    p_text,
)
from pipeline.warehouse.read import open_warehouse, query

PUBLISHED = runpy.run_path(str(Path(__file__).parents[1] / "published.py"))
STRANGE = """it's <b>"50 $"</b>"""


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    home = tmp_path_factory.mktemp("published")
    PUBLISHED["publish"](home)
    return home


@pytest.fixture
def con(published):
    with open_warehouse(published) as opened:
        yield opened


@pytest.fixture
def empty(tmp_path):
    PUBLISHED["publish"](tmp_path, facts=False)
    with open_warehouse(tmp_path) as opened:
        yield opened


def cards_by_id(con):
    return {card.experiment_id: card for card in findings.experiment_cards(con)}


def test_the_funnel_counts_the_enrollments_that_are_not_held_out(con):
    new_lead, webinar = findings.funnel_table(con)
    assert [(stage.name, stage.count) for stage in new_lead.stages] == [
        ("Enrolled", 270),
        ("Contacted", 270),
        ("Opened", 150),
        ("Clicked", 75),
        ("Replied", 39),
        ("Converted", 30),
    ]
    assert (new_lead.held_out.count, new_lead.held_out.of) == (4, 30)
    assert webinar.held_out.of == 0


def test_every_rate_of_the_funnel_names_what_it_is_of(con):
    stages = findings.funnel_table(con)[0].stages
    assert [(stage.rate.of, stage.rate.denominator) for stage in stages] == [
        (400, "all leads"),
        (270, "enrolled"),
        (270, "contacted"),
        (270, "contacted"),
        (270, "enrolled"),
        (270, "enrolled"),
    ]


def test_steps_have_their_rates_of_messages_sent(con):
    (step,) = findings.funnel_table(con)[0].steps
    assert (step["entered"], step["sent"], step["failed"]) == (270, 270, 0)
    assert {name: rate.of for name, rate in step["rates"].items()} == dict.fromkeys(
        ("opened", "clicked", "replied", "converted"), 270
    )


def test_drops_are_told_with_their_reasons(con):
    new_lead, webinar = findings.funnel_table(con)
    assert [(drop["reason"], drop["dropped"], drop["rate"].of) for drop in new_lead.drops] == [
        ("bounced", 1, 270),
        ("do_not_contact", 1, 270),
    ]
    assert webinar.drops == ()


def test_a_text_message_has_no_rate_of_opening(con):
    (step,) = findings.funnel_table(con)[1].steps
    assert (step["entered"], step["sent"], step["failed"]) == (100, 99, 1)
    assert step["rates"]["opened"] is None
    assert step["rates"]["replied"].of == 99


def stages(*counts):
    names = ("Enrolled", "Contacted", "Opened", "Clicked")
    return [
        Stage(name, count, Rate(count, counts[0], "enrolled"))
        for name, count in zip(names, counts, strict=False)
    ]


def test_the_largest_loss_is_told_with_its_interval():
    assert largest_loss(stages(100, 100, 40, 30)) == (
        "Most are lost between contacted and opened: 60 of 100. "
        "40.0\N{NO-BREAK SPACE}% go on (95\N{NO-BREAK SPACE}% interval "
        "30.9 to 49.8\N{NO-BREAK SPACE}%)."
    )


def test_a_funnel_without_enrollments_says_so():
    assert largest_loss(stages(0, 0, 0, 0)) == "Nobody is enrolled yet."


def test_a_funnel_without_losses_says_so():
    assert largest_loss(stages(5, 5, 5, 5)) == "Nobody is lost: all 5 got as far as contacted."


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4))
def test_the_named_loss_is_the_largest_one(counts):
    counts.sort(reverse=True)
    lost = max(before - after for before, after in pairwise(counts))
    sentence = largest_loss(stages(*counts))
    assert (f" {lost:,} of " in sentence) == (lost > 0)


def test_what_needs_a_person_comes_first(con):
    assert [(card.experiment_id, card.state) for card in findings.experiment_cards(con)] == [
        ("broken_split", "invalid"),
        ("welcome_subject", "winner"),
        ("either_body", "either_of"),
        (STRANGE, "running"),
        ("question_delay", "running"),
        ("fresh_offer", "collecting"),
    ]


def test_a_card_shows_every_arm_with_its_counts_and_rate(con):
    card = cards_by_id(con)["welcome_subject"]
    assert [(arm["arm"], arm["n_assigned"], arm["n"], arm["mean"]) for arm in card.arms] == [
        ("plain", 2000, 1900, "15.0\N{NO-BREAK SPACE}%"),
        ("course", 1980, 1890, "16.0\N{NO-BREAK SPACE}%"),
        ("question", 2020, 1910, "23.0\N{NO-BREAK SPACE}%"),
        ("(holdout)", 660, 630, "0.0\N{NO-BREAK SPACE}%"),
    ]
    assert [arm["arm"] for arm in card.arms if arm["is_winner"]] == ["question"]
    assert "p = 0.9275" in card.split


def test_the_intervals_of_a_card_are_those_of_the_comparisons(con, published):
    card = cards_by_id(con)["welcome_subject"]
    rows = query(
        published,
        "select effect, interval_low, interval_high from analysis.experiment_comparisons "
        "where experiment_id = 'welcome_subject' and is_primary and baseline = 'plain' "
        "order by arm",
    ).rows()
    assert [(row.effect, row.low, row.high) for row in card.versus_control] == rows
    assert [row.is_decisive for row in card.versus_control] == [False, True]


def test_held_out_leads_are_compared_on_what_can_happen_without_a_message(con):
    cards = cards_by_id(con)
    assert cards["welcome_subject"].versus_held_out == ()
    money = cards[STRANGE]
    assert money.held_out_metric == "revenue(sale)"
    assert [row.label for row in money.versus_held_out] == ["a against held-out leads"]
    assert money.versus_held_out[0].text.startswith("+1.12 per lead (")
    assert [title for title, _, _ in money.differences] == [
        "Difference from held-out leads: revenue per lead from sale"
    ]


def test_before_burn_in_no_interval_is_shown(con):
    (row,) = cards_by_id(con)["fresh_offer"].versus_control
    assert (row.low, row.high) == (None, None)
    assert "no interval before 100 leads" in row.text


def test_a_broken_split_is_said_on_the_card(con):
    card = cards_by_id(con)["broken_split"]
    assert not card.is_split_sound
    assert card.split.startswith("Split NOT as declared: 900 a and 600 b (p = below 0.0001")


DECLARED = {"declared_arm": "c", "declared_at": datetime(2026, 11, 5, tzinfo=UTC)}


def row_of(**changes):
    row = {
        "experiment_id": "subject_1",
        "declared_arm": None,
        "declared_at": None,
        "paused_at": None,
        "origin": "live",
        "is_auto": False,
        "winner": "b",
        "control": "a",
        "varies": "content",
        "step_id": "welcome",
        "sequence_id": "new_lead",
        "metric": "goal(sale)",
        "window_seconds": 1209600,
    }
    return {**row, **changes}


@pytest.mark.parametrize(
    ("state", "changes", "said"),
    [
        ("winner", {"is_auto": True}, "Applied by itself: the engine gives b to every lead"),
        ("winner", {}, "A person decides: `drip promote subject_1` writes b into the step"),
        ("running", DECLARED, "A person declared c the winner on 2026-11-05: every lead"),
        (
            "collecting",
            {"paused_at": DECLARED["declared_at"]},
            "`drip resume experiment subject_1`",
        ),
        ("winner", {"origin": "import", "is_auto": True}, "Nothing: it is imported history"),
        ("either_of", {}, "take the simpler of these arms"),
        ("no_difference", {}, "Keep a."),
        ("harmful", {}, "takes the harmful arm out"),
        ("harmful", {"is_auto": True}, "Until then no further lead gets it."),
        ("invalid", {}, "No winner can be named."),
        ("running", {}, "When there is a winner, a person decides."),
        ("collecting", {"is_auto": True}, "A winner will be applied by itself."),
    ],
)
def test_every_state_says_who_acts_next(state, changes, said):
    assert said in next_step(state, row_of(**changes))


@pytest.mark.parametrize(
    ("changes", "question"),
    [
        (
            {},
            "Which text of step welcome in new_lead brings more leads that reach the goal sale "
            "within 14 days?",
        ),
        (
            {"varies": "delay", "metric": "replied", "window_seconds": 129600},
            "Which delay of step welcome in new_lead brings more leads that reply within 36 hours?",
        ),
        (
            {"step_id": None, "sequence_id": None, "metric": "custom(visit)"},
            "Which arm brings more leads with a visit within 14 days?",
        ),
    ],
)
def test_an_experiment_is_asked_as_a_question(changes, question):
    assert ask(row_of(**changes)) == question


def test_a_metric_without_words_is_shown_as_it_is():
    assert name_metric("something") == "something"


def test_small_p_values_are_not_rounded_to_zero():
    assert [p_text(0.90371), p_text(0.00001)] == ["0.9037", "below 0.0001"]


def test_delay_advice_stands_with_the_delays_it_compared(con):
    (card,) = findings.delay_cards(con)
    assert [row["metric"] for row in card.advice] == ["replied", "converted"]
    assert [(arm["delay"], arm["replied"].count, arm["replied"].of) for arm in card.arms] == [
        ("1 day", 61, 610),
        ("3 days", 72, 600),
    ]


def test_curves_are_known_only_as_long_as_somebody_was_observed(con):
    new_lead, webinar = findings.curve_cards(con)
    assert [curve.group for curve in new_lead.curves] == ["treated", "held_out"]
    assert [curve.group for curve in webinar.curves] == ["treated"]
    assert [row["day"] for row in new_lead.milestones] == [7, 14, 30]
    assert new_lead.sentence.startswith("By day 30: 11.1\N{NO-BREAK SPACE}% (")


def test_a_curve_holds_its_last_step():
    curve = Curve("treated", 10, 20, (CurvePoint(3, 0.1, 0.0, 0.2), CurvePoint(9, 0.4, 0.2, 0.6)))
    assert [curve.at_day(day).share for day in (0, 2, 3, 8, 9, 20)] == [0, 0, 0.1, 0.1, 0.4, 0.4]


def test_a_rate_stands_beside_its_target_week_by_week(con):
    bounced, reported, delivered = findings.target_lines(con)[0]
    assert (bounced.name, bounced.sender, bounced.target_text) == (
        *("Bounced", "ann"),
        "at most 3.0\N{NO-BREAK SPACE}%",
    )
    assert [rate for _, rate in bounced.weeks] == [0.03, 0.031, 0.032]
    assert (bounced.rate.count, bounced.rate.of, bounced.rate.denominator) == (
        *(32, 1000),
        "messages sent",
    )
    assert [line.verdict for line in (bounced, reported, delivered)] == [
        "missed, but it may be chance",
        "missed",
        "as wanted",
    ]


def test_quality_counts_what_no_rate_counts(con):
    checks = {check.name: (check.rate.count, check.rate.of) for check in quality(con)}
    assert checks["Opened by machines only"] == (40, 239)
    assert checks["Unknown"] == (1, 370)
    assert checks["Won before contact"] == (1, 400)


def quality(con):
    return findings.quality_checks(con)


def test_every_command_is_one_word_of_a_shell_and_gives_the_rows_of_its_piece(con, published):
    pieces = [
        *findings.funnel_table(con),
        *findings.experiment_cards(con),
        *findings.delay_cards(con),
        *findings.curve_cards(con),
    ]
    queries = [each for piece in pieces for each in piece.queries]
    queries += [check.query for check in quality(con)]
    queries += [findings.header(con).query, findings.totals(con)[1]]
    queries.append(findings.target_lines(con)[1])
    assert len(queries) > 30
    for each, sql in zip(queries, heard(each.command for each in queries), strict=True):
        assert query(published, sql).to_dicts() == each.rows(con)


def heard(commands):
    """Return the SQL that `drip query` gets from a shell for each of these lines."""
    script = "drip() { printf '%s\\0' \"$2\"; }\n" + "\n".join(commands)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=40)
def test_any_value_survives_the_shell(values):
    queries = [Query("select $name as found", {"name": value}) for value in values]
    assert heard(each.command for each in queries) == [
        "select '" + value.replace("'", "''") + "' as found" for value in values
    ]


def test_an_empty_warehouse_has_no_pieces(empty):
    assert findings.funnel_table(empty) == []
    assert findings.experiment_cards(empty) == []
    assert findings.delay_cards(empty) == []
    assert findings.curve_cards(empty) == []
    assert findings.target_lines(empty)[0] == []
    assert all(check.rate.share is None for check in quality(empty))


def test_the_week_is_that_of_the_facts_in_the_zone_of_the_workspace(con):
    found = findings.header(con)
    assert (found.week, found.local.tzinfo.key) == ("2026-W47", "Europe/London")
