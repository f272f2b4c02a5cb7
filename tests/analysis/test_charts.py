from datetime import date, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.charts import (
    MOST_TICKS,
    bar_svg,
    curve_svg,
    interval_svg,
    ticks,
    trend_svg,
)
from pipeline.analysis.findings import Curve, CurvePoint, Interval, Rate, TargetLine


def interval(effect, low=None, high=None, *, is_decisive=False, label="b against a"):
    return Interval(label, effect, low, high, is_decisive, "words")


def parse(svg):
    return ElementTree.fromstring(str(svg))  # noqa: S314  our own text


def percents(element, *names):
    return [float(element.get(name).removesuffix("%")) for name in names]


def test_a_bar_is_as_long_as_its_share():
    _, fill = parse(bar_svg(0.275, "Clicked"))
    assert fill.get("width") == "27.5%"


def trend(*rates, target=0.03):
    weeks = tuple((date(2026, 10, 5) + timedelta(weeks=i), rate) for i, rate in enumerate(rates))
    return TargetLine("Bounced", "ann", weeks, target, False, Rate(1, 2, "sent"), "missed")


def test_the_target_is_a_line_across_below_what_exceeds_it():
    root = parse(trend_svg(trend(0.02, None, 0.05)))
    target, line = root.findall("line")
    assert (target.get("class"), line.get("class")) == ("target", "trend")
    assert percents(target, "x1", "x2") == [0, 100]
    low, high = float(line.get("y1")), float(line.get("y2"))
    assert high < float(target.get("y1")) < low
    assert len(root.findall("circle")) == 2


def test_a_trend_of_nothing_still_shows_the_target():
    root = parse(trend_svg(trend(None)))
    assert [line.get("class") for line in root.findall("line")] == ["target"]


def test_labels_cannot_break_out_of_a_chart():
    svg = interval_svg([interval(0.1, 0.0, 0.2, label="<script>&")], is_money=False, title='"><b>')
    assert "<script>" not in svg
    assert parse(svg).get("aria-label") == '"><b>'


def test_a_decisive_difference_is_marked_with_its_direction():
    rows = [
        interval(0.1, 0.05, 0.15, is_decisive=True),
        interval(-0.1, -0.15, -0.05, is_decisive=True),
        interval(0.1, -0.05, 0.25),
    ]
    groups = parse(interval_svg(rows, is_money=False, title="t")).findall("g")
    assert [group.get("class") for group in groups] == ["up", "down", "open"]


def test_a_comparison_without_interval_is_a_point_and_one_without_effect_words_only():
    root = parse(interval_svg([interval(0.1), interval(None)], is_money=False, title="t"))
    (group,) = root.findall("g")
    assert group.find("line") is None
    assert group.find("circle") is not None
    labels = [text for text in root.findall("text") if text.get("class") == "label"]
    assert len(labels) == 2


def test_nothing_to_compare_still_gives_a_chart():
    assert parse(interval_svg([], is_money=True, title="t")).get("height") == "26"


effects = st.floats(-1, 1).map(lambda value: round(value, 6))


@given(st.lists(st.tuples(effects, effects, effects), min_size=1, max_size=6), st.booleans())
def test_estimate_interval_and_zero_stand_in_order_inside_the_chart(rows, is_money):
    ordered = [sorted(row) for row in rows]
    intervals = [interval(effect, low, high) for low, effect, high in ordered]
    root = parse(interval_svg(intervals, is_money=is_money, title="t"))
    zeros = [line for line in root.findall("line") if line.get("class") == "zero"]
    assert len(zeros) == len(rows)
    (zero_at,) = percents(zeros[0], "x1")
    for group, (low, effect, _) in zip(root.findall("g"), ordered, strict=True):
        left, right = percents(group.find("line"), "x1", "x2")
        (point,) = percents(group.find("circle"), "cx")
        assert 0 <= left <= point <= right <= 100
        assert (point - zero_at) * effect >= -0.02
        assert (left - zero_at) * low >= -0.02


def test_a_curve_starts_at_nobody_and_ends_where_observation_ends():
    curves = [
        Curve("treated", 50, 40, (CurvePoint(10, 0.2, 0.1, 0.3), CurvePoint(20, 0.4, 0.3, 0.5))),
        Curve("held_out", 9, 20, (CurvePoint(10, 0.1, 0.0, 0.4),)),
    ]
    paths = parse(curve_svg(curves, "t")).findall("svg/g/path")
    assert [path.get("d") for path in paths] == [
        "M0 1000H250V619.05H500V238.1H1000",
        "M0 1000H250V809.52H500",
    ]


def test_a_group_without_conversions_has_no_step():
    root = parse(curve_svg([Curve("treated", 5, 0, ())], "t"))
    assert root.findall("svg/g") == []


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_inside(low, span):
    found = ticks(low, low + span)
    assert len(found) <= MOST_TICKS + 1
    assert found == sorted(found)
    slack = 1e-6 * max(1.0, abs(low), span)
    assert all(low - slack <= tick <= low + span + slack for tick in found)


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(-1, 11, [0, 5, 10]), (0, 45, [0, 10, 20, 30, 40]), (0, 0.03, [0, 0.01, 0.02, 0.03])],
)
def test_ticks_are_round(low, high, found):
    assert ticks(low, high) == found


def test_one_value_has_one_tick():
    assert ticks(3, 3) == [3]
