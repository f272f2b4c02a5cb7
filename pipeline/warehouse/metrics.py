"""Questions in metrics: from the words of a person to SQL over the marts, and its rows.

Belongs here: MetricFlow, whose authors call its engine unstable, so no other module imports it.
Does not: definitions and names (`definitions`), opening what is published (`read`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import duckdb
import polars as pl
import sqlglot
from sqlglot import exp

from pipeline.settings import DripError
from pipeline.warehouse.definitions import (
    Definitions,
    Dimension,
    Metric,
    read_definitions,
)
from pipeline.warehouse.read import QueryFailed, open_warehouse

if TYPE_CHECKING:
    from metricflow.engine.metricflow_engine import MetricFlowEngine

Grain = Literal["day", "week", "month"]


@dataclass(frozen=True)
class Question:
    """What somebody wants to know.

    Attributes:
        metrics: names of metrics, at least one.
        by: names of what to split them by.
        where: a SQL condition over the same names.
        grain: split by day, week (beginning on Monday) or month, each metric by its own day.
        start: first day that counts.
        end: last day that counts.
        limit: no more rows than that; None for all.
        order: a metric or a dimension that was asked for, with `-` in front the largest first;
            without it by time, else the first metric, the largest first.
    """

    metrics: tuple[str, ...]
    by: tuple[str, ...] = ()
    where: str | None = None
    grain: Grain | None = None
    start: date | None = None
    end: date | None = None
    limit: int | None = None
    order: str | None = None


@dataclass(frozen=True)
class Answer:
    """The rows, what was asked, and the moment of the facts."""

    metrics: tuple[Metric, ...]
    rows: pl.DataFrame
    refreshed_at: datetime


def ask(home: Path, question: Question, *, snapshot: str | None = None) -> Answer:
    """Answer a question from the published warehouse, by the definitions published with it.

    Columns are called as they were asked for: the grain, then `by`, then the metrics.

    Args:
        home: the workspace.
        question: what to find out.
        snapshot: an ISO week such as `2026-W47`; without it the latest refresh.

    Raises:
        NothingPublished: there is nothing to read.
        NoDefinitions: that file holds none.
        DripError: a name is unknown, or the question cannot be answered.
    """
    with open_warehouse(home, snapshot=snapshot) as con:
        definitions = read_definitions(con)
        sql = write_sql(definitions, question)
        try:
            rows: pl.DataFrame = con.sql(sql).pl()
        except duckdb.Error as error:
            raise QueryFailed(f"{str(error).splitlines()[0]} Correct the condition.") from None
        refreshed = con.execute("select refreshed_at from meta.refresh").fetchall()
    metrics = tuple(definitions.find(name) for name in question.metrics)
    return Answer(metrics, _as_asked(rows, question), refreshed[0][0])


def explain(home: Path, question: Question, *, snapshot: str | None = None) -> str:
    """Return the SQL that `ask` would run, without running it; errors are the same."""
    with open_warehouse(home, snapshot=snapshot) as con:
        return write_sql(read_definitions(con), question)


def write_sql(definitions: Definitions, question: Question) -> str:
    """Return the SQL that answers a question; it reads marts and nothing else.

    Raises:
        DripError: a name is unknown, or the question cannot be answered.
    """
    if not question.metrics:
        raise DripError("Name a metric. `drip metrics` lists them all.")
    metrics = [definitions.find(name) for name in question.metrics]
    _check_days(question, metrics)
    for name in question.by:
        if name in get_args(Grain):
            raise DripError(f"Time is no dimension. Write --grain {name}.")
    columns = {
        name: _group_by(definitions.find_dimension(name, metrics)) for name in question.by
    } | {metric.name: metric.name for metric in metrics}
    by = [columns[name] for name in question.by]
    if question.grain:
        by.insert(0, f"metric_time__{question.grain}")
    return _explain(
        definitions.semantic_manifest,
        metric_names=list(question.metrics),
        group_by_names=by,
        where_constraints=_conditions(question, definitions, metrics),
        order_by_names=_order(question, columns, by),
        limit=question.limit,
    )


def _order(question: Question, columns: dict[str, str], by: list[str]) -> list[str]:
    if question.order:
        sign = "-" if question.order.startswith("-") else ""
        name = question.order.removeprefix("-")
        if name not in columns:
            raise DripError(f"{name!r} was not asked for. Order by one of: {', '.join(columns)}.")
        return [sign + columns[name], *(one for one in by if one != columns[name])]
    return by if question.grain or not by else [f"-{question.metrics[0]}", *by]


def _check_days(question: Question, metrics: Iterable[Metric]) -> None:
    if question.start and question.end and question.end < question.start:
        raise DripError(f"The end {question.end} is before the start {question.start}.")
    if not (question.grain or question.start or question.end):
        return
    for metric in metrics:
        if not metric.has_days:
            raise DripError(
                f"{metric.name} has no days, its numbers are those of the moment: leave the grain, "
                "the start and the end out."
            )


def _group_by(dimension: Dimension) -> str:
    return f"{dimension.name}__day" if dimension.is_day else dimension.name


def _conditions(
    question: Question, definitions: Definitions, metrics: Sequence[Metric]
) -> list[str]:
    """Write the days and the condition in MetricFlow's words.

    Not by its time constraint, which is widened to whole weeks and months without a word.
    """
    found = []
    day = "{{ TimeDimension('metric_time', 'day') }}"
    if question.grain:
        # A message that was never sent has no day.
        found.append(f"{day} is not null")
    if question.start:
        found.append(f"{day} >= '{question.start.isoformat()}'")
    if question.end:
        found.append(f"{day} <= '{question.end.isoformat()}'")
    if question.where is not None:
        found.append(_translate(question.where, definitions, metrics))
    return found


def _translate(where: str, definitions: Definitions, metrics: Sequence[Metric]) -> str:
    """Put what the names in a condition mean in their place."""
    meant: dict[str, str] = {}

    def put(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Column):
            return node
        name = ".".join(part.name for part in node.parts)
        place = f"dimension_{len(meant)}_of_the_condition"
        meant[place] = _in_condition(definitions.find_dimension(name, metrics))
        return exp.to_identifier(place)

    # What is left of braces is text, and MetricFlow would take it for its own.
    text = _parse(where).transform(put).sql("duckdb").replace("{", "{{ '{' }}")
    for place, reference in meant.items():
        text = text.replace(place, reference)
    return text


def _parse(where: str) -> exp.Condition:
    try:
        (tree,) = sqlglot.parse(where, dialect="duckdb")
    except (sqlglot.ParseError, sqlglot.TokenError, ValueError):
        tree = None
    if not isinstance(tree, exp.Condition) or tree.find(exp.Query):
        raise DripError(
            f"{where!r} is no condition. Write one like: channel = 'email' and step = 'welcome'"
        )
    return tree


def _in_condition(dimension: Dimension) -> str:
    if dimension.is_day:
        return f"{{{{ TimeDimension('{dimension.name}', 'day') }}}}"
    kind = "Dimension" if "__" in dimension.name else "Entity"
    return f"{{{{ {kind}('{dimension.name}') }}}}"


def _as_asked(rows: pl.DataFrame, question: Question) -> pl.DataFrame:
    names = [*([question.grain] if question.grain else []), *question.by, *question.metrics]
    renamed = rows.rename(dict(zip(rows.columns, names, strict=True)))
    kinds = renamed.schema.items()
    # Counts come as decimals without digits, null where nothing was counted; days as midnights.
    counts = [name for name, kind in kinds if isinstance(kind, pl.Decimal) and kind.scale == 0]
    days = [name for name, kind in kinds if kind == pl.Datetime("us", None)]
    return renamed.with_columns(
        pl.col(counts).cast(pl.Int64).fill_null(0), pl.col(days).cast(pl.Date)
    )


# --- MetricFlow -----------------------------------------------------------------------------------


def _explain(semantic_manifest: str, **request: Any) -> str:
    """Have MetricFlow write the SQL.

    Raises:
        DripError: it cannot.
    """
    # Half a second: only who asks for a metric waits for it.
    from metricflow.engine.metricflow_engine import (  # noqa: PLC0415
        MetricFlowQueryRequest,
        OutputColumnOrderMode,
    )
    from metricflow_semantics.errors.error_classes import MetricFlowException  # noqa: PLC0415

    wanted = MetricFlowQueryRequest.create(
        output_column_order_mode=OutputColumnOrderMode.INPUT_ORDER, **request
    )
    try:
        statement = _engine(semantic_manifest).explain(wanted).sql_statement
    except MetricFlowException as error:
        raise DripError(f"This cannot be answered: {error}") from None
    return str(statement.sql)


@lru_cache(maxsize=4)
def _engine(semantic_manifest: str) -> "MetricFlowEngine":
    """Return the engine for these definitions; a client that only explains is all it needs."""
    from metricflow.engine.metricflow_engine import MetricFlowEngine  # noqa: PLC0415
    from metricflow.protocols.sql_client import SqlEngine  # noqa: PLC0415
    from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer  # noqa: PLC0415
    from metricflow_semantics.model.dbt_manifest_parser import (  # noqa: PLC0415
        parse_manifest_from_dbt_generated_manifest,
    )
    from metricflow_semantics.model.semantic_manifest_lookup import (  # noqa: PLC0415
        SemanticManifestLookup,
    )

    class Client:
        """DuckDB's dialect, without a connection."""

        sql_engine_type = SqlEngine.DUCKDB
        sql_plan_renderer = DuckDbSqlPlanRenderer()
        unsupported_granularities = frozenset[Any]()

        @staticmethod
        def render_bind_parameter_key(key: str) -> str:
            return f"${key}"

    manifest = parse_manifest_from_dbt_generated_manifest(semantic_manifest)
    client: Any = Client()
    return MetricFlowEngine(SemanticManifestLookup(manifest), client)
