"""Texts are read as people read them: no tags, no addresses, no phrase across a full stop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.wording import LONGEST_PHRASE, PLACES, STYLES, read_wording


def phrases(source):
    return {name for kind, name in read_wording(source).features if kind == "phrase"}


def places(source):
    return {name for kind, name in read_wording(source).features if kind == "place"}


def style(source):
    return dict(zip(STYLES, read_wording(source).style, strict=True))


def test_phrases_have_one_to_three_words_and_end_where_a_clause_does():
    assert phrases("Quick question, Ann? Don’t wait") == {
        "quick",
        "question",
        "quick question",
        "ann",
        "don't",
        "wait",
        "don't wait",
    }
    longest = max(len(phrase.split()) for phrase in phrases("one two three four five"))
    assert longest == LONGEST_PHRASE


def test_what_is_put_in_for_each_lead_is_no_word():
    source = "{# note #}Hi {{ lead.first_name }}, {% if lead.company %}for you{% endif %} today"
    assert phrases(source) == {"hi", "for", "you", "for you", "today", "you today", "for you today"}
    assert style(source)["personalised"] == 1


def test_the_way_out_of_a_list_is_nobodys_name():
    assert style("Leave: {{ unsubscribe }}")["personalised"] == 0
    assert style("Leave, {{ name }}: {{ unsubscribe }}")["personalised"] == 1


def test_links_are_read_by_their_words():
    found = phrases("[Book a call](https://x.example/go?id=1). Or https://y.example/now")
    assert found == {"book", "a", "call", "book a", "a call", "book a call", "or"}


def test_a_word_stands_in_the_third_in_which_it_begins():
    assert places("one two three four five six") == {
        "one · first third",
        "two · first third",
        "three · middle third",
        "four · middle third",
        "five · last third",
        "six · last third",
    }


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Why now?", {"characters": 8, "words": 2, "question": 1, "number": 0, "emoji": 0}),
        ("Save 20 % 🎉", {"characters": 11, "words": 2, "question": 0, "number": 1, "emoji": 1}),
        ("", {"characters": 0, "words": 0, "question": 0, "number": 0, "emoji": 0}),
    ],
)
def test_length_and_style_are_counted(source, expected):
    assert style(source) == {**expected, "personalised": 0}


@given(st.text(max_size=120))
def test_any_text_can_be_read_twice_alike(source):
    wording = read_wording(source)
    assert wording == read_wording(source)
    for kind, name in wording.features:
        words, _, place = name.partition(" · ")
        assert words == words.lower()
        assert (place in PLACES) == (kind == "place")
        assert 1 <= len(words.split()) <= LONGEST_PHRASE
