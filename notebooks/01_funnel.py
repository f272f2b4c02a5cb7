import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Where do leads drop?")

with app.setup:
    import altair as alt
    import marimo as mo
    import polars as pl

    from pipeline.analysis.findings import funnel_table, target_lines
    from pipeline.analysis.review import render_piece
    from pipeline.settings import load_settings
    from pipeline.warehouse.read import open_warehouse


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Where do leads drop?

    **Question.** How far do the leads of each sequence get, and between which two stages are most of them lost?

    **Answered by** `marts.enrollments` (one row per enrollment) with `marts.sends`, and step by step by
    `marts.funnel_steps`.

    **How to read the chart.** In the tables a bar is a stage, as long as there are enrollments that got so far; replies and
    conversions need neither an opening nor a click. In the chart a bar is a step of the sequence: how many enrollments
    reached it, and how many of them were sent its message; the others were passed over, wait, or failed.
    """)
    return


@app.cell
def _():
    home = load_settings().home
    step_height = 24
    colours = {"sent": "#1f6feb", "not sent": "#c9d3e0"}
    return colours, home, step_height


@app.cell
def _():
    refresh = mo.ui.refresh(options=["1m", "15m"], label="Read the latest refresh")
    refresh
    return (refresh,)


@app.cell
def _(home, refresh):
    refresh
    with open_warehouse(home) as _con:
        funnels = funnel_table(_con)
        targets, _ = target_lines(_con)
    return funnels, targets


@app.cell
def _(funnels):
    mo.stop(not funnels, mo.md("Nobody is enrolled yet: run `drip tick`, then `drip refresh`."))
    mo.vstack([mo.Html(render_piece("funnel", funnel)) for funnel in funnels])
    return


@app.cell
def _(colours, funnels, step_height):
    steps = pl.DataFrame(
        [
            {
                "sequence": funnel.sequence_id,
                "step": f"{step['step_id']} ({step['channel']})",
                "of them": outcome,
                "enrollments": count,
            }
            for funnel in funnels
            for step in funnel.steps
            for outcome, count in (
                ("sent", step["sent"]),
                ("not sent", step["entered"] - step["sent"]),
            )
        ]
    )
    mo.stop(steps.is_empty(), mo.md("No step was planned yet."))
    steps_chart = (
        alt.Chart(steps)
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            y=alt.Y("step:N", sort=None, title=None),
            x=alt.X("sum(enrollments):Q", title="enrollments that reached the step"),
            color=alt.Color(
                "of them:N",
                title=None,
                scale=alt.Scale(domain=list(colours), range=list(colours.values())),
                legend=alt.Legend(orient="top"),
            ),
            order=alt.Order("of them:N", sort="descending"),
            tooltip=["sequence", "step", "of them", "sum(enrollments)"],
        )
        .properties(width=480, height=alt.Step(step_height))
        .facet(
            row=alt.Row(
                "sequence:N", title=None, header=alt.Header(labelAngle=0, labelAlign="left")
            )
        )
        .resolve_scale(x="independent", y="independent")
    )
    steps_chart
    return (steps_chart,)


@app.cell
def _(targets):
    weeks = pl.DataFrame(
        [
            {
                "rate": line.name,
                "sender": line.sender,
                "week": week,
                "share": share,
                "target": line.target,
            }
            for line in targets
            for week, share in line.weeks
        ]
    )
    mo.stop(weeks.is_empty(), mo.md("No sender of mail has a complete week yet."))
    targets_chart = (
        alt.layer(
            alt.Chart(weeks)
            .mark_line(point=True)
            .encode(
                x=alt.X("week:T", title=None),
                y=alt.Y("share:Q", title=None, axis=alt.Axis(format=".1%")),
                color=alt.Color("sender:N", legend=alt.Legend(orient="top")),
                tooltip=["sender", "week:T", alt.Tooltip("share:Q", format=".2%")],
            ),
            alt.Chart(weeks).mark_rule(strokeDash=[4, 3]).encode(y="mean(target):Q"),
        )
        .properties(width=480, height=90)
        .facet(row=alt.Row("rate:N", title="Mail by week; dashed: the target of workspace.yml"))
        .resolve_scale(y="independent")
    )
    targets_chart
    return (targets_chart,)


@app.cell
def _(funnels):
    conclusion = "\n".join(f"- **{funnel.sequence_id}**: {funnel.sentence}" for funnel in funnels)
    mo.md(f"## Conclusion\n\n{conclusion}")
    return (conclusion,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Limits

    - Openings are a weak sign: mail programs hide people and pretend them. Machines are left out as far as they can be told.
    - Enrollments of the last days have had less time to open, click, reply and convert than older ones.
    - Sequences reach different leads: their funnels beside each other are no comparison of the sequences.
    """)
    return


if __name__ == "__main__":
    app.run()
