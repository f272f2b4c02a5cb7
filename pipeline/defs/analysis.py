"""The analysis tables as assets.

Belongs here: which marts each reads, what Dagster shows of it. Does not: statistics and writing the
tables (`analysis`).
"""

import base64
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from markupsafe import Markup

from pipeline.analysis.plots import plot_tables
from pipeline.analysis.refresh import run_analyses
from pipeline.defs.ledger import OWNERS
from pipeline.defs.warehouse import POOL, Refresh
from pipeline.warehouse.paths import next_path

GROUP = "analysis"


def _table(name: str, description: str, marts: list[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=[GROUP, name],
        group_name=GROUP,
        kinds={"python", "duckdb"},
        owners=OWNERS,
        description=description,
        deps=[dg.AssetKey(["marts", mart]) for mart in marts],
    )


TABLES = [
    _table(
        "experiment_decisions",
        "What each experiment's rule concludes now. Grain: one row per experiment.",
        ["experiments", "experiment_arms"],
    ),
    _table(
        "experiment_comparisons",
        "Every arm against its control, with interval. Grain: one row per pair and metric.",
        ["experiments", "experiment_arms"],
    ),
    _table(
        "split_checks",
        "Where an uneven split comes from. Grain: one row per experiment, trait, value and arm.",
        ["experiments", "experiment_arms", "experiment_splits"],
    ),
    _table(
        "delay_recommendations",
        "How long to wait, from randomised delays. Grain: one row per delay experiment.",
        ["experiments", "experiment_arms", "delay_arms", "delay_times"],
    ),
    _table(
        "delay_curves",
        "How soon answers come after each delay. Grain: one row per arm, metric, end and day.",
        ["delay_times"],
    ),
    _table(
        "conversion_curves",
        "Time to conversion, or to leaving. Grain: one row per sequence, group, outcome and day.",
        ["time_to_conversion"],
    ),
    _table(
        "conversion_times",
        "How long conversions take, in a few numbers. Grain: one row per sequence and group.",
        ["time_to_conversion"],
    ),
    _table(
        "arm_weights",
        "How often each arm of a bandit is drawn next. Grain: one row per experiment and arm.",
        ["experiments", "experiment_arms"],
    ),
    _table(
        "send_times",
        "Which hours bring answers. Grain: one row per sequence, weekday and block of four hours.",
        ["send_hours"],
    ),
    _table(
        "send_hours",
        "The same hour by hour, above 50,000 messages. Grain: one row per sequence, weekday, hour.",
        ["send_hours"],
    ),
    _table(
        "delay_hints",
        "What past waits suggest to test. Grain: one row per sequence and step with 50 replies.",
        ["sends"],
    ),
    _table(
        "word_effects",
        "Which words and phrases bring answers. Grain: one row per kind of text and feature.",
        ["message_texts", "experiment_arms", "experiments"],
    ),
    _table(
        "drop_off",
        "At which step people leave, and why. Grain: one row per sequence, version, step and end.",
        ["step_endings"],
    ),
    _table(
        "step_effects",
        "What a step adds, by those held out there. Grain: one row per such step and metric.",
        ["step_holdouts"],
    ),
    _table(
        "insights",
        "What changed, where the bottleneck is, what to try. Grain: one row per sentence.",
        ["sends", "step_endings", "message_texts", "send_hours"],
    ),
]


@dg.multi_asset(specs=TABLES, pool=POOL)
def analysis_tables(refresh: dg.ResourceParam[Refresh]) -> Iterator[dg.MaterializeResult[None]]:
    """Write the analysis tables into the new warehouse, from its marts."""
    rows = run_analyses(refresh.home, refresh.now, timezone=refresh.workspace.timezone)
    plots = draw_plots(next_path(refresh.home))
    for spec in TABLES:
        name = spec.key.path[-1]
        metadata: dict[str, int | dg.MetadataValue] = {"dagster/row_count": rows[name]}
        if name in plots:
            metadata["plot"] = image(*plots[name])
        yield dg.MaterializeResult(asset_key=spec.key, metadata=metadata)


def draw_plots(warehouse: Path) -> dict[str, tuple[str, Markup]]:
    """Draw the tables; a picture that fails is logged and holds no numbers back."""
    try:
        return plot_tables(warehouse)
    except Exception:
        dg.get_dagster_logger().exception("the tables of analysis have no plots this time")
        return {}


def image(title: str, svg: str) -> dg.MarkdownMetadataValue:
    """Return a picture as metadata; Dagster's pages show it in place."""
    data = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"{title}\n\n![{title}](data:image/svg+xml;base64,{data})")
