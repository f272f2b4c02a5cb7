"""Charts as inline SVG: text that stays readable on a phone, on paper, in light and dark.

Belongs here: geometry and marks. Does not: which numbers (`findings`), colours (`charts.css`).
Positions are per cent of the width, so a chart grows and shrinks while its text does not.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from markupsafe import Markup

from pipeline.analysis.findings import GROUPS, Curve, Interval, TargetLine

# Where a value stands on the axis, in per cent of the width.
Place = Callable[[float], str]

ROW = 46
AXIS = 26
CURVE_HEIGHT = 240
TREND_HEIGHT = 40
# Per cent of the width left free at both ends of a chart.
MARGIN = 4.0
MOST_TICKS = 5


def bar_svg(share: float, label: str) -> Markup:
    """Return a bar of this share of the width."""
    return Markup(
        '<svg class="bar" role="img" aria-label="{}"><rect width="100%" height="100%" '
        'class="track"/><rect width="{}%" height="100%" class="fill"/></svg>'
    ).format(label, _number(100 * share))


def trend_svg(trend: TargetLine) -> Markup:
    """Return a rate week by week, from left to right, with its target as a line across."""
    rates = [rate for _, rate in trend.weeks if rate is not None]
    low, high = _widen(min([trend.target, *rates]), max([trend.target, *rates]))

    def height(rate: float) -> str:
        return _number(TREND_HEIGHT * (0.9 - 0.8 * (rate - low) / (high - low)))

    step = (100 - 2 * MARGIN) / max(1, len(trend.weeks) - 1)
    points = [
        (_number(MARGIN + step * number), height(rate))
        for number, (_, rate) in enumerate(trend.weeks)
        if rate is not None
    ]
    marks = [
        Markup('<line class="target" x1="0%" x2="100%" y1="{0}" y2="{0}"/>').format(
            height(trend.target)
        )
    ]
    for (x1, y1), (x2, y2) in pairwise(points):
        line = Markup('<line class="trend" x1="{}%" y1="{}" x2="{}%" y2="{}"/>')
        marks.append(line.format(x1, y1, x2, y2))
    marks += [Markup('<circle cx="{}%" cy="{}" r="2.5"/>').format(x, y) for x, y in points]
    title = f"{trend.name}, {trend.sender}, week by week; target {trend.target_text}"
    return Markup('<svg class="trend" role="img" aria-label="{}" height="{}">{}</svg>').format(
        title, TREND_HEIGHT, Markup("").join(marks)
    )


def interval_svg(
    intervals: Sequence[Interval], *, is_money: bool, title: str, is_level: bool = False
) -> Markup:
    """Return one line per comparison: its estimate and its interval around the line of zero.

    Args:
        intervals: the comparisons; without an effect only the words are shown.
        is_money: axis in the unit of the values, as money per lead; else in points of a share.
        title: what a screen reader says.
        is_level: values that are no differences: their axis has no signs.
    """
    scale = 1.0 if is_money else 100.0
    ends = [
        scale * value
        for row in intervals
        for value in (row.low, row.high, row.effect)
        if value is not None
    ]
    low, high = _widen(min([0.0, *ends]), max([0.0, *ends]))
    height = ROW * len(intervals) + AXIS

    def place(value: float) -> str:
        return _number(MARGIN + (100 - 2 * MARGIN) * (value - low) / (high - low))

    at = ticks(low, high)
    marks = [_tick_names(at, height, place, sign="" if is_level else "+")]
    for number, row in enumerate(intervals):
        marks.append(_row_lines(at, ROW * number, place))
        marks.append(_interval_row(row, ROW * number, scale, place))
    return Markup('<svg class="chart" role="img" aria-label="{}" height="{}">{}</svg>').format(
        title, height, Markup("").join(marks)
    )


def _tick_names(at: Sequence[float], height: int, place: Place, *, sign: str) -> Markup:
    names = [
        Markup('<text class="tick" x="{}%" y="{}">{}</text>').format(
            place(tick), height - 8, f"{tick:{sign}g}" if tick else "0"
        )
        for tick in at
    ]
    return Markup("").join(names)


def _row_lines(at: Sequence[float], top: int, place: Place) -> Markup:
    """Return the vertical lines of one row, below its label."""
    lines = [
        Markup('<line class="{0}" x1="{1}%" x2="{1}%" y1="{2}" y2="{3}"/>').format(
            "grid" if tick else "zero", place(tick), top + 22, top + 41
        )
        for tick in at
    ]
    return Markup("").join(lines)


def _interval_row(row: Interval, top: int, scale: float, place: Place) -> Markup:
    text = Markup('<text class="label" x="0" y="{0}">{1}</text>').format(top + 16, row.label)
    if row.effect is None:
        return text
    middle = top + 31
    kind = "open"
    if row.is_decisive:
        kind = "up" if row.effect > 0 else "down"
    line = Markup("")
    if row.low is not None and row.high is not None:
        line = Markup('<line class="interval" x1="{}%" x2="{}%" y1="{}" y2="{}"/>').format(
            place(scale * row.low), place(scale * row.high), middle, middle
        )
    point = Markup('<circle class="point" cx="{}%" cy="{}" r="5"/>').format(
        place(scale * row.effect), middle
    )
    hover = Markup("<title>{}: {}</title>").format(row.label, row.text)
    return text + Markup('<g class="{}">{}{}{}</g>').format(kind, hover, line, point)


def curve_svg(curves: Sequence[Curve], title: str) -> Markup:
    """Return the share converted over the days, as steps with bands, one colour per group.

    A step holds until the last day its group was observed for, and is not drawn beyond it.
    """
    last = max([1, *(curve.last_day for curve in curves)])
    tops = [point.high for curve in curves for point in curve.points if curve.count > 1]
    shares = [point.share for curve in curves for point in curve.points]
    # A band of few leads may reach 100 %; the axis follows the curves and cuts such a band off.
    top = min(max([0.01, *tops]), max([0.01, *shares]) * 1.6) * 1.05
    plot = CURVE_HEIGHT - AXIS
    marks = [_share_axis(top, plot), _day_axis(last, plot)]
    drawn = [_steps(curve, last, top) for curve in curves if curve.points]
    marks.append(
        Markup(
            '<svg x="10%" y="0" width="88%" height="{}" viewBox="0 0 1000 1000" '
            'preserveAspectRatio="none">{}</svg>'
        ).format(plot, Markup("").join(drawn))
    )
    return Markup('<svg class="chart" role="img" aria-label="{}" height="{}">{}</svg>').format(
        title, CURVE_HEIGHT, Markup("").join(marks)
    )


def _share_axis(top: float, plot: int) -> Markup:
    lines = []
    for tick in ticks(0.0, 100 * top):
        y = _number(plot * (1 - tick / (100 * top)))
        lines.append(
            Markup('<line class="grid" x1="10%" x2="98%" y1="{0}" y2="{0}"/>').format(y)
            + Markup('<text class="tick right" x="9%" y="{}" dy="4">{} %</text>').format(
                y, f"{tick:g}"
            )
        )
    return Markup("").join(lines)


def _day_axis(last: int, plot: int) -> Markup:
    lines = []
    for tick in ticks(0.0, float(last)):
        name = f"day {tick:g}" if tick == 0 else f"{tick:g}"
        lines.append(
            Markup('<text class="tick" x="{}%" y="{}">{}</text>').format(
                _number(10 + 88 * tick / last), plot + 18, name
            )
        )
    return Markup("").join(lines)


def _steps(curve: Curve, last: int, top: float) -> Markup:
    """Return line and band of one group in a square of 1000."""

    def x(day: float) -> str:
        return _number(1000 * day / last)

    def y(share: float) -> str:
        return _number(1000 * (1 - share / top))

    line, lower, upper = [f"M0 {y(0)}"], [(0, 0.0)], [(0, 0.0)]
    for point in curve.points:
        line.append(f"H{x(point.day)}V{y(point.share)}")
        lower += [(point.day, lower[-1][1]), (point.day, point.low)]
        upper += [(point.day, upper[-1][1]), (point.day, point.high)]
    end = max(curve.last_day, curve.points[-1].day)
    line.append(f"H{x(end)}")
    around = [*upper, (end, upper[-1][1]), (end, lower[-1][1]), *reversed(lower)]
    band = " ".join(f"{x(day)},{y(share)}" for day, share in around)
    return Markup(
        '<g class="{}"><title>{}</title><polygon class="band" points="{}"/>'
        '<path class="step" d="{}"/></g>'
    ).format(curve.group, GROUPS[curve.group], band, "".join(line))


def ticks(low: float, high: float) -> list[float]:
    """Return round values between the ends, at most MOST_TICKS + 1 of them."""
    span = high - low
    if span <= 0:
        return [low]
    size = 10.0 ** math.floor(math.log10(span / MOST_TICKS))
    step = next(s * size for s in (1, 2, 5, 10) if span / (s * size) <= MOST_TICKS)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.10g}") for number in range(first, last + 1)]


def _widen(low: float, high: float) -> tuple[float, float]:
    """Return ends with some air, and never one value only."""
    span = high - low or 2.0
    return low - 0.05 * span, high + 0.05 * span


def _number(value: float) -> str:
    """Return a coordinate, the same on every machine."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
