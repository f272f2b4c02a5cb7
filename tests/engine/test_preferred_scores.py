"""Scores of hours: read from the published file, never in the way, and nobody is given up."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis import send_times
from pipeline.engine import preferred_scores
from pipeline.engine.preferred_scores import (
    BLOCKS,
    EXPLORED,
    HourScores,
    read_hour_scores,
    weigh_blocks,
)
from pipeline.warehouse.paths import warehouse_path

SCORED = datetime(2026, 1, 4, 12, tzinfo=UTC)


def test_the_open_block_with_the_highest_score_gets_what_is_not_explored():
    monday = HourScores(SCORED, {(0, 1): 0.9, (0, 2): 0.1, (0, 3): 0.3, (0, 4): 0.3, (1, 2): 1.0})
    assert weigh_blocks(monday, 0, [2, 3, 4]) == pytest.approx({2: 0.05, 3: 0.9, 4: 0.05})
    # Of what is not open nothing is preferred; one block is no choice.
    assert weigh_blocks(monday, 0, [2, 4]) == pytest.approx({2: 0.075, 4: 0.925})
    assert weigh_blocks(monday, 0, [2]) is None


@pytest.mark.parametrize("score", [None, math.nan, math.inf])
def test_a_day_with_a_score_that_says_nothing_has_no_preference(score):
    assert weigh_blocks(HourScores(SCORED, {(0, 2): 0.1, (0, 3): score}), 0, [2, 3]) is None
    assert weigh_blocks(HourScores(SCORED, {(0, 2): 0.1}), 0, [2, 3]) is None


def test_the_engine_and_the_published_weights_explore_alike():
    monday = HourScores(SCORED, {(0, block): block / 10 for block in range(BLOCKS)})
    shares = weigh_blocks(monday, 0, range(BLOCKS))
    assert list(shares.values()) == send_times.spread([block / 10 for block in range(BLOCKS)])


@given(st.dictionaries(st.integers(0, BLOCKS - 1), st.floats(0, 1), min_size=2))
def test_the_shares_are_a_distribution_in_which_every_open_block_has_some(scores):
    week = HourScores(SCORED, {(3, block): score for block, score in scores.items()})
    shares = weigh_blocks(week, 3, sorted(scores))
    assert set(shares) == set(scores)
    assert math.isclose(sum(shares.values()), 1)
    assert min(shares.values()) >= EXPLORED / len(scores) - 1e-12
    favourite = max(shares, key=shares.__getitem__)
    assert scores[favourite] == max(scores.values())


def test_the_file_is_read_once_per_refresh_and_gives_what_was_asked_for(world):
    world.publish_hours({(0, 2): 0.2, (0, 3): 0.1})
    preferred_scores._read.cache_clear()
    for _ in range(3):
        found = read_hour_scores(world.home, {"one", "two"})
        assert found == {"one": HourScores(SCORED, {(0, 2): 0.2, (0, 3): 0.1})}
    assert read_hour_scores(world.home, {"two"}) == {}
    assert preferred_scores._read.cache_info().misses == 1
    world.publish_hours({})
    assert read_hour_scores(world.home, {"one"}) == {}


@pytest.mark.parametrize("content", [None, b"", b"not a database"])
def test_without_a_file_that_can_be_read_there_are_no_scores(world, content):
    if content is not None:
        warehouse_path(world.home).write_bytes(content)
    assert read_hour_scores(world.home, {"one"}) == {}
