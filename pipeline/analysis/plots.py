"""The analysis tables as pictures, for whoever meets them in Dagster.

Belongs here: what of a table is drawn. Does not: geometry (`charts`), the pieces of the weekly
review (`review_pieces.html`), where a picture is shown (`defs`).
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb
from markupsafe import Markup

from pipeline.analysis.charts import curve_svg, interval_svg
from pipeline.analysis.findings import Interval, curve_cards

WIDTH = 720
PADDING = 12
MOST_ROWS = 12


@dataclass(frozen=True)
class Plot:
    """Estimates with their intervals, one row each.

    Attributes:
        title: what is drawn, with its unit.
        sql: at most MOST_ROWS are drawn, of label, effect, low, high, is_decisive.
        is_share: drawn in per cent or points; else in the unit of the column.
        is_level: values that are no differences.
    """

    title: str
    sql: str
    is_share: bool = True
    is_level: bool = True

    def draw(self, con: duckdb.DuckDBPyConnection) -> Markup | None:
        """Return the chart; None without rows."""
        rows = con.sql(self.sql).limit(MOST_ROWS).pl().rows()
        intervals = [Interval(*(*row, self.title)) for row in rows]
        if not intervals:
            return None
        return interval_svg(
            intervals, is_money=not self.is_share, title=self.title, is_level=self.is_level
        )


# Money is not on one axis with shares: it stands in the weekly review.
PLOTS = {
    "experiment_decisions": Plot(
        "Effect of the winner or the best arm, points",
        """
        select experiment_id || ': ' || state, effect, interval_low, interval_high, state = 'winner'
        from analysis.experiment_decisions
        where effect is not null and metric not similar to '(capped_)?revenue.*'
        order by state = 'winner' desc, n desc, experiment_id
        """,
        is_level=False,
    ),
    "experiment_comparisons": Plot(
        "Difference on the deciding metric, points",
        """
        select
            experiment_id || ': ' || arm || ' against ' || baseline,
            effect, interval_low, interval_high, is_decisive
        from analysis.experiment_comparisons
        where is_primary and not is_against_held_out and effect is not null
            and metric not similar to '(capped_)?revenue.*'
        order by n_arm + n_baseline desc, 1
        """,
        is_level=False,
    ),
    "split_checks": Plot(
        "What stands out in a split: units of an arm less those expected, per cent of these",
        """
        select
            experiment_id || ', ' || trait || ' ' || value || ': ' || arm,
            n_assigned / n_expected - 1, null, null, true
        from analysis.split_checks
        where is_uneven
        order by p_value, 1
        """,
        is_level=False,
    ),
    "delay_recommendations": Plot(
        "Effect of the recommended delay, points",
        """
        select
            experiment_id || ', ' || metric || ': '
            || coalesce(recommended_delay_seconds // 3600 || ' h', state),
            effect, interval_low, interval_high, state = 'winner'
        from analysis.delay_recommendations
        where effect is not null
        order by n desc, 1
        """,
        is_level=False,
    ),
    "delay_curves": Plot(
        "Share that came to each end so far, by delay, per cent",
        """
        select
            experiment_id || ', ' || metric || ', ' || arm || ': ' || outcome,
            max(share), max_by(interval_low, day), max_by(interval_high, day), false
        from analysis.delay_curves
        group by experiment_id, metric, arm, outcome
        order by experiment_id, metric desc, outcome != metric, outcome, arm
        """,
    ),
    "conversion_times": Plot(
        "Mean days without a conversion, within the horizon",
        """
        select
            sequence_id || ', ' || "group" || ', ' || horizon_days || ' days',
            mean_days_unconverted, interval_low, interval_high, false
        from analysis.conversion_times
        order by n desc, 1
        """,
        is_share=False,
    ),
    "arm_weights": Plot(
        "How often each arm is drawn next, per cent",
        """
        select experiment_id || ': ' || arm, weight, null, null, false
        from analysis.arm_weights
        order by all
        """,
    ),
    "send_times": Plot(
        "The blocks that were answered best, per cent",
        """
        select
            sequence_id || strftime(date '2024-01-01' + cast(weekday as int), ', %a ')
            || 4 * block || '–' || 4 * block + 4,
            score, interval_low, interval_high, is_better
        from analysis.send_times
        order by score desc, 1
        """,
    ),
    "send_hours": Plot(
        "The hours that were answered best, per cent",
        """
        select
            sequence_id || strftime(date '2024-01-01' + cast(weekday as int), ', %a ')
            || hour || ':00',
            score, interval_low, interval_high, is_better
        from analysis.send_hours
        order by score desc, 1
        """,
    ),
    "delay_hints": Plot(
        "Days until 80 % of the replies to come are there",
        """
        select sequence_id || ', ' || step_id, earliest_days, earliest_low, earliest_high, false
        from analysis.delay_hints
        order by n desc, 1
        """,
        is_share=False,
    ),
    "word_effects": Plot(
        "Lift of words within tests, per cent",
        """
        select
            feature || ' (' || part || ', ' || metric || ')', lift, lift_low, lift_high, is_found
        from analysis.word_effects
        where lift is not null
        order by p_value, 1
        """,
        is_level=False,
    ),
    "drop_off": Plot(
        "Who leaves at a step, of those still there, per cent",
        """
        select
            sequence_id || ', ' || step_id || ': ' || ended_as,
            hazard, hazard_low, hazard_high, false
        from analysis.drop_off
        where is_dropped and count_ended > 0
        order by count_ended desc, 1
        """,
    ),
    "step_effects": Plot(
        "What a step adds, points",
        """
        select
            sequence_id || ', ' || step_id || ': ' || metric,
            effect, interval_low, interval_high, is_decisive
        from analysis.step_effects
        where effect is not null and metric not similar to '(capped_)?revenue.*'
        order by n_sent + n_held_out desc, 1
        """,
        is_level=False,
    ),
}


def plot_tables(warehouse: Path) -> dict[str, tuple[str, Markup]]:
    """Draw the analysis tables of a warehouse.

    Returns:
        Title and self-contained SVG of each table that has something to draw.
    """
    with duckdb.connect(str(warehouse), read_only=True) as con:
        drawn = {name: (plot.title, plot.draw(con)) for name, plot in PLOTS.items()}
        cards = curve_cards(con)
    if cards:
        largest = max(cards, key=lambda card: sum(curve.count for curve in card.curves))
        title = f"{largest.sequence_id}: share converted, by days; dashed: held out"
        drawn["conversion_curves"] = title, curve_svg(largest.curves, title)
    return {name: (title, _page(svg)) for name, (title, svg) in drawn.items() if svg is not None}


def _page(chart: Markup) -> Markup:
    """Return a chart as a file of its own, light whatever stands around it."""
    style = Path(__file__).with_name("charts.css").read_text(encoding="utf-8")
    height = int(chart.split('height="', 1)[1].split('"', 1)[0]) + 2 * PADDING
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="review" width="{0}" height="{1}" '
        'style="color-scheme: light; font: 13px sans-serif">'
        '<style>{2}</style><rect width="100%" height="100%" fill="#fff"/>'
        '<svg x="{3}" y="{3}" width="{4}">{5}</svg></svg>'
    ).format(WIDTH, height, Markup(style), PADDING, WIDTH - 2 * PADDING, chart)  # noqa: S704
