"""Why a published number is another one today: its rows, in a week's snapshot and now.

Belongs here: comparing two published files row by row, naming causes. Does not: the numbers
(`metrics`), what they mean (`definitions`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import sqlglot
from sqlglot import exp

from pipeline.settings import DripError
from pipeline.warehouse.definitions import Metric, Sum, read_definitions
from pipeline.warehouse.metrics import Question, ask
from pipeline.warehouse.read import open_beside

# When it happened that a column changed, where a mart says so.
_MOMENTS = {
    "ended_at": "ended_at",
    "first_contacted_at": "first_contacted_at",
    "is_reversed": "reversed_at",
    "responded_at": "responded_at",
    "revenue": "reversed_at",
    "status": "ended_at",
    "was_clicked": "first_clicked_at",
    "was_converted": "converted_at",
    "was_opened": "first_opened_at",
    "was_replied": "first_replied_at",
    "was_sent": "handed_over_at",
}
# What says that nothing came, and that this was taken as an answer (rules.md R25).
_INFERRED = {"was_delivered": "is_delivery_inferred"}
# Columns as they are now, beside those of then.
_NOW = "_now"


@dataclass(frozen=True)
class Cause:
    """Rows that moved a sum in the same way."""

    name: str  # the sum
    what: str
    count_rows: int
    difference: Any  # of the sum; None for a mean
    examples: str


@dataclass(frozen=True)
class Movement:
    """A metric of the days before a snapshot: as it was published then, and as it is now."""

    metric: Metric
    snapshot: str
    snapshot_at: datetime
    until: date  # the first day that is not counted
    values: dict[str, tuple[Any, Any]]  # the metric, then what it is made of: then and now
    causes: tuple[Cause, ...]
    formula_then: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "metric": self.metric.name,
            "snapshot": self.snapshot,
            "snapshot_at": self.snapshot_at,
            "days_before": self.until,
            "values": {name: {"then": a, "now": b} for name, (a, b) in self.values.items()},
            "formula_then": self.formula_then,
            "formula_now": self.metric.formula,
            "causes": [vars(cause) for cause in self.causes],
        }


def explain_change(home: Path, name: str, since: str) -> Movement:
    """Compare a metric of the days that were over when a week's snapshot was made.

    Args:
        home: the workspace.
        name: a metric that has days.
        since: an ISO week of which there is a snapshot.

    Raises:
        NothingPublished: there is no such snapshot.
        DripError: there is no such metric, it has no days, or it cannot be compared.
    """
    with open_beside(home, since) as con:
        metric = read_definitions(con).find(name)
        before = read_definitions(con, "past").metrics.get(name)
        if before is None or not metric.has_days:
            why = "was not defined in that week" if before is None else "has no days"
            raise DripError(
                f"{name} {why}, so it cannot be compared. Ask for it at both times: "
                f"`drip metric {name}`, with and without `--as-of {since}`."
            )
        ((at, until),) = con.execute(
            "select refreshed_at, cast(timezone(timezone, refreshed_at) as date) "
            "from past.meta.refresh"
        ).fetchall()
        causes = [cause for one in metric.sums for cause in _causes(con, one, at, until)]
    parts = [one.name for one in metric.sums if one.name != name]
    question = Question((name, *parts), end=until - timedelta(days=1))
    then = ask(home, question, snapshot=since).rows.row(0, named=True)
    now = ask(home, question).rows.row(0, named=True)
    return Movement(
        metric=metric,
        snapshot=since,
        snapshot_at=at,
        until=until,
        values={part: (then[part], now[part]) for part in (name, *parts)},
        causes=tuple(causes),
        formula_then=before.formula,
    )


def _causes(con: duckdb.DuckDBPyConnection, one: Sum, at: datetime, until: date) -> Iterator[Cause]:
    """Group the rows of a mart that count otherwise now by what has become of them."""
    try:
        then = _rows(con, "past", one, until)
        now = _rows(con, "warehouse", one, until)
    except duckdb.BinderException as error:
        raise DripError(
            f"{one.mart} had other columns then, so rows cannot be compared "
            f"({str(error).splitlines()[0]}). Choose a later week."
        ) from None
    keys = [f"key_{number}" for number, _ in enumerate(one.keys)]
    moved = then.join(now, on=keys, how="full", coalesce=True, nulls_equal=True, suffix=_NOW)
    difference = pl.col(f"amount{_NOW}").fill_null(0) - pl.col("amount").fill_null(0)
    caused = (
        moved.filter(pl.col(f"amount{_NOW}").ne_missing(pl.col("amount")))
        .with_columns(
            what=_what(one, then.columns, at),
            difference=difference,
            key=pl.concat_str(pl.col(keys).cast(pl.String), separator=" ", ignore_nulls=True),
        )
        .filter(pl.col("difference") != 0)
        .group_by("what")
        .agg(pl.len(), pl.col("difference").sum(), pl.col("key").sort_by(keys).head(3))
        .sort(["len", "what"], descending=[True, False])
    )
    for what, count, amount, examples in caused.rows():
        moved_by = amount if one.aggregate == "sum" else None
        yield Cause(one.name, what, count, moved_by, ", ".join(examples))


def _rows(con: duckdb.DuckDBPyConnection, catalog: str, one: Sum, until: date) -> pl.DataFrame:
    """Read the rows of the days before: keys, amount, and the columns that it depends on."""
    table = con.table(f"{catalog}.{one.mart}")
    used = _columns(one)
    beside = [
        name
        for column in used
        for name in (_MOMENTS.get(column), _INFERRED.get(column), f"{column}_any")
    ]
    columns = dict.fromkeys([*used, *(name for name in beside if name in table.columns)])
    wanted = [
        *(f"{key} as key_{number}" for number, key in enumerate(one.keys)),
        f"{one.expression} as amount",
        *columns,
        "true as is_there",
    ]
    counted = table.filter(f"{one.day} < date '{until.isoformat()}' and {one.condition}")
    frame: pl.DataFrame = counted.project(", ".join(wanted)).pl()
    return frame


def _columns(one: Sum) -> list[str]:
    """List the columns that an amount depends on."""
    tree = sqlglot.parse_one(one.expression, dialect="duckdb")
    return list(dict.fromkeys(column.name for column in tree.find_all(exp.Column)))


def _what(one: Sum, columns: Sequence[str], at: datetime) -> pl.Expr:
    """Say what has become of a row, from its columns then and now."""
    parts = [_changed(name, columns, at) for name in _columns(one)]
    told = pl.concat_str([*parts, pl.lit(None, pl.String)], separator="; ", ignore_nulls=True)
    return (
        pl.when(pl.col("is_there").is_null())
        .then(pl.lit("was not in these days then"))
        .when(pl.col(f"is_there{_NOW}").is_null())
        .then(pl.lit("is not in these days any more"))
        .otherwise(told)
    )


def _changed(name: str, columns: Sequence[str], at: datetime) -> pl.Expr:
    """Say how a column changed, and whether it happened since or was only known since."""
    then, now = pl.col(name), pl.col(f"{name}{_NOW}")
    words: pl.Expr = pl.lit(f"{name} changed")
    if name.startswith(("was_", "is_", "has_")) or name in ("status", "end_reason"):
        values = [one.cast(pl.String).fill_null("null") for one in (then, now)]
        words = pl.concat_str([pl.lit(f"{name} "), values[0], pl.lit(" → "), values[1]])
    moment = pl.col(f"{_MOMENTS[name]}{_NOW}") if _MOMENTS.get(name) in columns else pl.lit(None)
    anybody = f"{name}_any"
    judged = pl.col(anybody) & pl.col(f"{anybody}{_NOW}") if anybody in columns else pl.lit(False)
    guess = _INFERRED.get(name)
    inferred = pl.col(f"{guess}{_NOW}") if guess in columns else pl.lit(False)
    when = (
        pl.when(inferred)
        .then(pl.lit(", inferred, as nothing bounced within 72 hours"))
        .when(moment > at)
        .then(pl.lit(", happened since"))
        .when(judged)
        .then(pl.lit(", judged anew"))
        .when(moment.is_not_null())
        .then(pl.lit(", told late"))
        .otherwise(pl.lit(""))
    )
    return pl.when(then.ne_missing(now)).then(pl.concat_str([words, when]))
