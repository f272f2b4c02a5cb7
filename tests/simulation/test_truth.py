import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulation.truth import DAY, Truth, Waiting


def test_half_of_a_wait_is_over_after_its_median() -> None:
    assert Waiting(60.0, 0.8).share_within(60.0) == pytest.approx(0.5)
    assert Waiting(60.0, 0.8).draw(0.0) == pytest.approx(60.0)


@given(st.floats(-3, 3), st.floats(1, 1e6), st.floats(0.1, 2))
def test_a_drawn_wait_is_over_with_the_probability_of_its_draw(
    normal: float, median: float, spread: float
) -> None:
    waiting = Waiting(median, spread)
    share = 0.5 * math.erfc(-normal / math.sqrt(2))
    assert waiting.share_within(waiting.draw(normal)) == pytest.approx(share, abs=1e-9)


def test_nothing_is_over_before_it_began() -> None:
    assert Waiting(60.0, 0.8).share_within(0.0) == 0.0


def test_the_best_subject_is_the_one_most_people_click() -> None:
    truth = Truth()
    rates = {appeal.arm: truth.click_rate(appeal.arm) for appeal in truth.appeals}
    assert max(rates, key=lambda arm: rates[arm]) == truth.best_subject == "course"
    assert truth.reads("Your first Spanish lesson is ready") > truth.reads("Welcome to us")
    assert truth.reads("Anything else") == truth.reads_other_mail


def test_who_is_pressed_answers_less() -> None:
    truth = Truth()
    asked = truth.answers("What would you like to learn first?", 3 * DAY)
    pressed = truth.answers("What would you like to learn first?", DAY)
    assert asked > pressed > truth.answers("Slides", 3 * DAY)
    assert truth.answer_rate(3 * DAY) > truth.answer_rate(DAY)


@given(st.floats(0, 60), st.floats(0, 60))
def test_the_lift_grows_with_the_window_up_to_the_effect_of_contact(one: float, two: float) -> None:
    truth = Truth()
    short, long = sorted((one, two))
    assert 0 <= truth.lift(short * DAY) <= truth.lift(long * DAY) <= truth.buys_when_contacted
