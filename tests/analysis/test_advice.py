"""Pieces of the review about words and insights, from a published warehouse."""

import runpy
from pathlib import Path

import duckdb
import pytest

from pipeline.analysis.advice import insight_lists, word_cards
from pipeline.analysis.review import render_piece, render_review
from pipeline.analysis.tables import ANALYSES
from pipeline.warehouse.paths import warehouse_path
from pipeline.warehouse.read import open_warehouse

PUBLISHED = runpy.run_path(str(Path(__file__).parents[1] / "published.py"))
TEXTS = """
insert into marts.message_texts by name
select
    'test_' || i as comparison, arm as variant, true as is_randomised, 'welcome' as sequence_id,
    'hello' as step_id, 'email' as channel, 1 as contact_no,
    'Plan' || i || if(arm = 'b', ' <b>today</b>', '') as subject, 'Same text' as body,
    'replied' as metric, 1000 as n,
    if(arm = 'a', 100 + (i * 7) % 13, 150 + (i * 5) % 17) as count_reached
from range($tests) as t (i) cross join (values ('a'), ('b')) as arms (arm)
"""


@pytest.fixture
def warehouse(tmp_path):
    """Publish with so many tests of subjects; give the open file."""

    def publish(tests):
        PUBLISHED["publish"](tmp_path)
        with duckdb.connect(str(warehouse_path(tmp_path))) as con:
            con.execute(TEXTS, {"tests": tests})
            for name in ("word_effects", "insights"):
                ANALYSES[name](con, PUBLISHED["NOW"], PUBLISHED["NO_LOOKS"])
        return open_warehouse(tmp_path)

    return publish


def test_before_there_are_twenty_tests_the_card_says_how_many_there_are(warehouse):
    with warehouse(3) as con:
        (card,) = word_cards(con)
        assert card.title == "email, subject"
        assert card.sentence == "Not enough tests yet: 3 of 20 with different subjects."
        assert card.rows == ()


def test_words_of_enough_tests_are_shown_with_the_lift_to_expect(warehouse):
    with warehouse(30) as con:
        (card,) = word_cards(con)
        assert "From 30 tests with different subjects" in card.sentence
        row = next(one for one in card.rows if one["kind"] == "phrase")
        assert row["found"].startswith("+")
        (tries,) = [one for one in insight_lists(con) if one.title == "What to try next"]
        sentence, evidence, query = tries.sentences[0]
        assert evidence == "randomised"
        assert row["feature"] in sentence
        assert query.rows(con)[0]["feature"] == row["feature"]
        page = render_review(con, "W")
        assert "What to make of it" in page
        assert "<b>today</b>" not in page
        assert row["feature"] in render_piece("word", card)


def test_without_texts_there_are_no_cards(warehouse):
    with warehouse(0) as con:
        assert word_cards(con) == []
