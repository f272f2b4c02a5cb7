"""What the metrics mean, kept in the very file whose numbers they define.

Belongs here: taking the definitions over from dbt, reading them, by what a metric can be split.
Does not: the definitions (`dbt_project/models/metrics`), the SQL of a question (`metrics`).
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import duckdb

from pipeline.settings import DripError
from pipeline.warehouse.paths import dbt_target_path, next_path

# MetricFlow wants a day of every mart; one without days has this one, which is always null.
_NO_DAY = "no_day"
# How a filter names a column of the metric's own mart.
_DIMENSION = re.compile(r"\{\{\s*Dimension\('\w+?__(\w+)'\)\s*\}\}")


class NoDefinitions(DripError):
    """The file was published before definitions were kept in it."""


@dataclass(frozen=True)
class Dimension:
    """What a metric can be split by."""

    name: str  # as the SQL writer knows it: sequence, send__channel
    definition: str
    is_day: bool = False
    is_key: bool = False

    @property
    def short(self) -> str:
        """Return the name without what it belongs to."""
        return self.name.rpartition("__")[2]

    def as_dict(self) -> dict[str, str]:
        """Return it for JSON."""
        return {"name": self.name, "short": self.short, "definition": self.definition}


@dataclass(frozen=True)
class Sum:
    """What a metric is made of: an aggregate over the rows of one mart."""

    name: str
    aggregate: str  # sum or average
    expression: str
    mart: str
    day: str
    keys: tuple[str, ...]  # columns that name a row
    condition: str


@dataclass(frozen=True)
class Metric:
    """One metric, as published."""

    name: str
    group: str
    row: str  # what a row of its mart is: lead, enrollment, send
    definition: str
    formula: str
    sums: tuple[Sum, ...]
    has_days: bool
    dimensions: tuple[Dimension, ...]

    @property
    def marts(self) -> tuple[str, ...]:
        """Return the marts that it reads."""
        return tuple(dict.fromkeys(one.mart for one in self.sums))

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "name": self.name,
            "group": self.group,
            "definition": self.definition,
            "formula": self.formula,
            "marts": self.marts,
            "has_days": self.has_days,
            "dimensions": [one.as_dict() for one in self.dimensions],
        }


@dataclass(frozen=True)
class Group:
    """Metrics of one population."""

    name: str
    definition: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class Definitions:
    """All metrics of a published file."""

    semantic_manifest: str

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Return the metrics by name, in the order in which people read them."""
        return {metric.name: metric for group in self.groups for metric in group.metrics}

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Return the metrics by population: counts, then what is made of them."""
        manifest = json.loads(self.semantic_manifest)
        models = sorted(manifest["semantic_models"], key=lambda m: m["config"]["meta"]["position"])
        homes = {measure["name"]: model for model in models for measure in model["measures"]}
        grouped: dict[str, list[Metric]] = {model["label"]: [] for model in models}
        for raw in sorted(manifest["metrics"], key=lambda metric: _place(metric, models)):
            metric = _read_metric(raw, homes, models)
            grouped[metric.group].append(metric)
        return tuple(
            Group(model["label"], model["description"], tuple(grouped[model["label"]]))
            for model in models
        )

    def find(self, name: str) -> Metric:
        """Return the metric of this name.

        Raises:
            DripError: there is none; the message says which one may be meant.
        """
        if name not in self.metrics:
            raise DripError(
                f"There is no metric {name!r}{_hint(name, self.metrics)} "
                "`drip metrics` lists them all."
            )
        return self.metrics[name]

    def find_dimension(self, typed: str, metrics: Sequence[Metric]) -> Dimension:
        """Return what a person means by a name: what all the metrics can be split by.

        `channel`, `lead.country` and `sequence_id` are understood as well as `send__channel`; of
        several with that name the metrics' own one is meant.

        Raises:
            DripError: there is none, or there are several; the message names them.
        """
        first, *others = metrics
        common = [
            one for one in first.dimensions if all(one in other.dimensions for other in others)
        ]
        name = typed.strip().replace(".", "__")
        for wanted in (name, name.removesuffix("_id"), *(f"{m.row}__{name}" for m in metrics)):
            for one in common:
                if one.name == wanted:
                    return one
        found = [one for one in common if one.short == name]
        if len(found) == 1:
            return found[0]
        told = " and ".join(metric.name for metric in metrics)
        if found:
            choice = " or ".join(one.name for one in found)
            raise DripError(f"{told} can be split by several {name}: write {choice}.")
        shorts = dict.fromkeys(one.short for one in common)
        together = " together" if others else ""
        raise DripError(
            f"{told} cannot be split by {typed!r}{together}{_hint(name, shorts)} "
            f"{self._related(first, name)}There are: {', '.join(shorts)}."
        )

    def _related(self, metric: Metric, dimension: str) -> str:
        """Name the metrics of the same thing that can be split by it."""
        able = [
            other.name
            for other in self.metrics.values()
            if metric.name in other.name.split("_") or other.name.startswith(f"{metric.name}_")
            if dimension in {one.short for one in other.dimensions}
        ]
        first = ", ".join(able[:-1])
        return f"{' and '.join(filter(None, (first, able[-1])))} can. " if able else ""


def _hint(typed: str, known: Iterable[str]) -> str:
    names = list(known)
    near = [name for name in names if name.startswith(typed)] or get_close_matches(typed, names)
    return f": did you mean {' or '.join(near)}?" if near else "."


def _place(raw: dict[str, Any], models: list[dict[str, Any]]) -> tuple[bool, int]:
    """Measures stand as in their file, then the rates in the order of the manifest."""
    names = [measure["name"] for model in models for measure in model["measures"]]
    is_rate = raw["type"] != "simple"
    return is_rate, 0 if is_rate else names.index(raw["type_params"]["measure"]["name"])


def _read_metric(
    raw: dict[str, Any], homes: dict[str, dict[str, Any]], models: list[dict[str, Any]]
) -> Metric:
    used = [homes[measure["name"]] for measure in raw["type_params"]["input_measures"]]
    found = [_dimensions(model, models) for model in used]
    common = set.intersection(*({one.name for one in some} for some in found))
    return Metric(
        name=raw["name"],
        group=used[0]["label"],
        row=_primary(used[0]),
        definition=raw["description"],
        formula=_formula(raw, used[0]),
        sums=tuple(
            _read_sum(measure["name"], model, _condition(raw))
            for measure, model in zip(raw["type_params"]["input_measures"], used, strict=True)
        ),
        has_days=all(model["defaults"]["agg_time_dimension"] != _NO_DAY for model in used),
        dimensions=tuple(one for one in found[0] if one.name in common),
    )


def _condition(raw: dict[str, Any]) -> str:
    """Return a metric's own filter as SQL over its mart."""
    filters = (raw["filter"] or {"where_filters": []})["where_filters"]
    written = [_DIMENSION.sub(r"\1", one["where_sql_template"]) for one in filters]
    return " and ".join(f"({condition})" for condition in written) or "true"


def _read_sum(name: str, model: dict[str, Any], condition: str) -> Sum:
    measure = next(one for one in model["measures"] if one["name"] == name)
    columns = {one["name"]: one["expr"] or one["name"] for one in model["dimensions"]}
    keys = [one["expr"] for one in model["entities"] if one["type"] == "primary"]
    every = [*(one["expr"] for one in model["entities"]), *columns.values()]
    return Sum(
        name=name,
        aggregate=measure["agg"],
        expression=measure["expr"],
        mart=model["node_relation"]["relation_name"],
        day=columns[model["defaults"]["agg_time_dimension"]],
        keys=tuple(keys or every),
        condition=condition,
    )


def _formula(raw: dict[str, Any], model: dict[str, Any]) -> str:
    """Tell a metric's arithmetic: over columns of its mart, or over other metrics."""
    params = raw["type_params"]
    if raw["type"] == "ratio":
        return f"{params['numerator']['name']} / {params['denominator']['name']}"
    measure = next(m for m in model["measures"] if m["name"] == params["measure"]["name"])
    return f"{measure['agg']}({measure['expr']})"


def _dimensions(model: dict[str, Any], models: list[dict[str, Any]]) -> list[Dimension]:
    """List what a model can be split by: its own keys and columns, then those of its parents."""
    own = _primary(model)
    parents = [e["name"] for e in model["entities"] if e["type"] == "foreign"]
    columns = [
        Dimension(f"{entity}__{column['name']}", column["description"], column["type"] == "time")
        for entity in [own, *parents]
        for other in _with_primary(entity, model, models)
        for column in other["dimensions"]
        if column["type"] != "time" or other is _with_primary(entity, model, models)[0]
        if column["name"] != _NO_DAY
    ]
    # Rows with days are facts, known by a number; a sequence is known by its name.
    ids = {_primary(one) for one in models if one["defaults"]["agg_time_dimension"] != _NO_DAY}
    keys = [
        Dimension(e["name"], f"Column {e['expr']}.", is_key=e["name"] in ids)
        for e in model["entities"]
    ]
    return [*sorted(keys, key=lambda key: key.is_key), *columns]


def _with_primary(
    entity: str, model: dict[str, Any], models: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """List the models with one row per entity, the one that is asked for first."""
    found = [other for other in models if _primary(other) == entity]
    return sorted(found, key=lambda other: other is not model)


def _primary(model: dict[str, Any]) -> str:
    """Return what a row of the model is, in one word."""
    keys = [entity["name"] for entity in model["entities"] if entity["type"] == "primary"]
    return str(keys[0] if keys else model["primary_entity"])


def keep_definitions(home: Path) -> None:
    """Write what dbt understood of the metrics into the next warehouse.

    Tables are named as everybody who reads the published file names them.
    """
    path = dbt_target_path(home) / "semantic_manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    # A run that writes none must not find this one.
    path.unlink()
    relations = [model["node_relation"] for model in manifest["semantic_models"]]
    spines = manifest["project_configuration"]["time_spines"]
    for relation in [*relations, *(spine["node_relation"] for spine in spines)]:
        relation["database"] = None
        relation["relation_name"] = f"{relation['schema_name']}.{relation['alias']}"
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True)
    with duckdb.connect(str(next_path(home))) as con:
        con.execute("delete from meta.definitions")
        con.execute("insert into meta.definitions values ($text)", {"text": text})


def read_definitions(
    con: duckdb.DuckDBPyConnection, catalog: Literal["warehouse", "past"] = "warehouse"
) -> Definitions:
    """Return the definitions of an opened warehouse.

    Args:
        con: one of `read`'s.
        catalog: of two opened files, which one.

    Raises:
        NoDefinitions: it was published by a version that kept none.
    """
    try:
        rows = con.execute(
            "select semantic_manifest from query_table($name)",
            {"name": f"{catalog}.meta.definitions"},
        ).fetchall()
    except duckdb.CatalogException:
        rows = []
    if not rows:
        raise NoDefinitions(
            "This warehouse was published without the definitions of its metrics, by an older "
            "version. `drip refresh` publishes them; for that week ask `drip query --as-of`."
        )
    return Definitions(rows[0][0])
