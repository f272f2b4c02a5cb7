import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="What did each experiment find?")

with app.setup:
    import altair as alt
    import marimo as mo
    import polars as pl
    from markupsafe import escape

    from pipeline.analysis.findings import experiment_cards
    from pipeline.analysis.review import render_piece
    from pipeline.settings import load_settings
    from pipeline.warehouse.read import open_warehouse


@app.cell(hide_code=True)
def _():
    mo.md("""
    # What did each experiment find?

    **Question.** Which arm won, how sure is that, and what happens next?

    **Answered by** `analysis.experiment_decisions` (the state) and `analysis.experiment_comparisons` (the intervals), from
    the counts in `marts.experiment_arms`. The cards are those of the weekly review.

    **How to read the chart.** A point is the difference of an arm from its control, its line the interval that holds however
    often one looks. A line that does not touch zero is a difference; a winner must be ahead of *every* other arm.
    """)
    return


@app.cell
def _():
    home = load_settings().home
    row_height = 30
    colours = {"told apart": "#1a7f4b", "not told apart": "#7d8797"}
    return colours, home, row_height


@app.cell
def _():
    refresh = mo.ui.refresh(options=["1m", "15m"], label="Read the latest refresh")
    refresh
    return (refresh,)


@app.cell
def _(home, refresh):
    refresh
    with open_warehouse(home) as _con:
        cards = experiment_cards(_con)
    return (cards,)


@app.cell
def _(cards):
    mo.stop(
        not cards, mo.md("No experiment is registered yet: write one under a step of a sequence.")
    )
    mo.vstack([mo.Html(render_piece("experiment", card)) for card in cards])
    return


@app.cell
def _(cards):
    intervals = pl.DataFrame(
        [
            {
                "experiment": card.experiment_id,
                "comparison": row.label,
                "points": 100 * row.effect,
                "low": None if row.low is None else 100 * row.low,
                "high": None if row.high is None else 100 * row.high,
                "found": "told apart" if row.is_decisive else "not told apart",
            }
            for card in cards
            for row in card.versus_control
            if not card.is_money and row.effect is not None
        ],
        schema={
            "experiment": pl.String,
            "comparison": pl.String,
            "points": pl.Float64,
            "low": pl.Float64,
            "high": pl.Float64,
            "found": pl.String,
        },
    )
    return (intervals,)


@app.cell
def _(colours, row_height, intervals):
    mo.stop(intervals.is_empty(), mo.md("No arm can be compared with its control yet."))
    base = alt.Chart(intervals).encode(
        y=alt.Y("comparison:N", title=None),
        color=alt.Color(
            "found:N",
            title=None,
            scale=alt.Scale(domain=list(colours), range=list(colours.values())),
            legend=alt.Legend(orient="top"),
        ),
        tooltip=["experiment", "comparison", alt.Tooltip("points:Q", format="+.2f"), "low", "high"],
    )
    lines = base.mark_rule(strokeWidth=4, opacity=0.5).encode(
        x=alt.X("low:Q", title="difference from the control, in points"), x2="high:Q"
    )
    zero = alt.Chart(intervals).mark_rule(strokeDash=[4, 3], color="#5b6576").encode(x=alt.datum(0))
    points = base.mark_circle(size=90, opacity=1).encode(x="points:Q")
    interval_chart = (
        (zero + lines + points)
        .properties(width=480, height=alt.Step(row_height))
        .facet(
            row=alt.Row(
                "experiment:N", title=None, header=alt.Header(labelAngle=0, labelAlign="left")
            )
        )
        .resolve_scale(y="independent")
    )
    interval_chart
    return (interval_chart,)


@app.cell
def _(cards):
    conclusion = "\n".join(
        f"- **{escape(card.experiment_id)}**: {escape(card.headline)}. {escape(card.reason)}"
        for card in cards
    )
    mo.md(f"## Conclusion\n\n{conclusion}")
    return (conclusion,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Limits

    - Only leads observed for their whole window count, by the arm they were drawn for, whether or not a message reached them.
    - Only the primary metric decides. The measured effect of a winner is overstated on average; each card says what is honest to expect.
    - Experiments on revenue are in the cards, not in the chart: their differences are money, not points.
    """)
    return


if __name__ == "__main__":
    app.run()
