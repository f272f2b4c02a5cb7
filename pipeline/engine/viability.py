"""Choosing the channel of `channel: best`: the first that can reach the lead (R20).

Belongs here: which option a lead gets. Does not: suppression, which is judged for the chosen
channel (`plan`), so that a fallback replaces missing data and never an opt-out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.ledger.statements import run_file
from pipeline.sequences.compiled import CompiledStep, words_of
from pipeline.sequences.vocabulary import BY_PHONE

_SQL = Path(__file__).with_name("viability.sql")
_SCHEMA = {
    "version_id": pl.Int64,
    "step_ix": pl.Int16,
    "rank": pl.Int16,
    "channel": pl.String,
    "sender": pl.String,
    "needs": pl.String,
}


def choose_channels(
    con: duckdb.DuckDBPyConnection, steps: Mapping[int, tuple[CompiledStep, ...]]
) -> None:
    """Give every row of `due` whose channel is `best` the channel and the sender that it has here.

    A lead without any address gets the first option, which then says what is missing. A send that
    was claimed before keeps its channel.
    """
    rows = [
        (version_id, step.ix, rank, channel, sender, _address_of(channel))
        for version_id, version in steps.items()
        for step in version
        for rank, (channel, sender) in enumerate(step.options)
    ]
    if not rows:
        return
    con.register("best_option", pl.DataFrame(rows, schema=_SCHEMA, orient="row"))
    run_file(con, _SQL)
    con.unregister("best_option")


def channel_for(
    step: CompiledStep, recipient: Mapping[str, Any], arm: str | None = None
) -> tuple[str, str]:
    """Return channel and sender of a step for one recipient, as the planner would choose them."""
    variants = step.experiment.variants if step.experiment else ()
    variant = next((one for one in variants if one.arm == arm), None)
    if not step.options:
        channel, _ = words_of(step, arm)
        return channel, (variant.sender if variant else None) or step.sender or ""
    viable = (option for option in step.options if recipient.get(_address_of(option[0])))
    return next(viable, step.options[0])


def _address_of(channel: str) -> str:
    return "phone" if channel in BY_PHONE else "email"
