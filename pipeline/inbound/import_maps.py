"""MAP.yml: which column of somebody else's file is which field of ours.

Belongs here: the shape of a map, its errors with line and what to write instead.
Does not: reading the file and landing its rows (`importers`).
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlglot
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from sqlglot import exp

from pipeline.inbound.landing import format_instant
from pipeline.sequences.calendars import list_zones
from pipeline.settings import DripError

LEAD_KEYS = ("external_id", "email", "phone")
INSTANTS = ("created_at", "enrolled_at", "ended_at", "occurred_at", "handed_over_at")
KINDS = ("leads", "enrollments", "sends", "events")

_FIELDS: dict[str, tuple[str, ...]] = {
    "leads": (
        "email", "phone", "first_name", "last_name", "external_id", "source", "country",
        "timezone", "created_at",
    ),
    "enrollments": (
        *LEAD_KEYS, "sequence_id", "goal", "goal_within_seconds", "enrolled_at", "status",
        "ended_at", "end_reason", "is_holdout", "arm",
    ),
    "sends": (
        *LEAD_KEYS, "key", "sequence_id", "step_id", "channel", "sender", "variant",
        "handed_over_at", "message_id",
    ),
    "events": (
        *LEAD_KEYS, "key", "kind", "name", "occurred_at", "message_id", "url", "value",
        "currency", "agent",
    ),
}  # fmt: skip
_REQUIRED = {
    "leads": (),
    "enrollments": ("sequence_id", "enrolled_at"),
    "sends": ("sequence_id", "step_id", "handed_over_at"),
    "events": ("kind", "occurred_at"),
}
_TOP = ("name", "file", "timezone", "where", "row_number", "columns", "constants", "experiment")
_FILE = ("delimiter", "encoding", "header")
_COLUMN = ("column", "format", "map", "type")
_TYPES = ("text", "number", "boolean")
_EXPERIMENT = (
    "experiment_id", "sequence_id", "step_id", "varies", "metric", "window", "mode",
    "planned_leads", "alpha", "arms",
)  # fmt: skip
_ARM = ("role", "share", "delay")
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

# What a filter may be made of: comparisons of columns with values, nothing that calls anything.
_FILTER_NODES = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.And, exp.Or,
    exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Is, exp.Like,
    exp.ILike, exp.Between, exp.Neg,
)  # fmt: skip
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)


@dataclass(frozen=True)
class ColumnField:
    """One field of ours, filled from one column of the file."""

    name: str
    column: str
    line: int
    format: str | None = None
    values: Mapping[str, str] | None = None
    type: str = "text"


@dataclass(frozen=True)
class ImportMap:
    """A map as read: fields from columns, constants and row numbers, and how to read the file."""

    path: Path
    kind: str
    name: str
    columns: tuple[ColumnField, ...]
    constants: Mapping[str, Any]
    row_number: str | None = None
    where: exp.Expression | None = None
    where_line: int = 0
    zone: str = "UTC"
    delimiter: str = ","
    encoding: str = "utf-8"
    has_header: bool = True
    experiment: Mapping[str, Any] | None = None
    digest: str = ""

    def columns_used(self) -> dict[str, int]:
        """Return the file's columns that the map names, with the line that names each."""
        used = {spec.column: spec.line for spec in self.columns}
        if self.where is not None:
            for column in self.where.find_all(exp.Column):
                used.setdefault(column.name, self.where_line)
        return used


@dataclass
class _Reader:
    """Checks one map; every complaint names file and line."""

    path: Path
    kind: str
    name: str
    columns: list[ColumnField] = field(default_factory=list)

    def fail(self, line: int, message: str) -> DripError:
        return DripError(f"{self.path}:{line}: {message}")

    def keys(self, node: CommentedMap, allowed: Collection[str], what: str) -> None:
        for key in node:
            if key not in allowed:
                raise self.fail(_line(node, key), f"{what} {unknown(str(key), allowed)}")

    def block(self, node: CommentedMap, key: str) -> CommentedMap:
        value = node.get(key)
        if value is None:
            return CommentedMap()
        if not isinstance(value, CommentedMap):
            raise self.fail(_line(node, key), f"`{key}` must be a block of names and values.")
        return value

    def read_column(self, node: CommentedMap, name: str) -> ColumnField:
        line, value = _line(node, name), node[name]
        if isinstance(value, str | int):
            return ColumnField(name, str(value), line)
        if not isinstance(value, CommentedMap) or "column" not in value:
            raise self.fail(line, f"`{name}` is a column's name, or {{column: …, format: …}}.")
        self.keys(value, _COLUMN, f"`{name}` has the option")
        kind = str(value.get("type", "text"))
        if kind not in _TYPES:
            raise self.fail(line, f"The type of `{name}` {unknown(kind, _TYPES)}")
        pairs = value.get("map")
        if pairs is not None and not isinstance(pairs, CommentedMap):
            raise self.fail(line, f"`map` of `{name}` must be a block {{value: value}}.")
        return ColumnField(
            name,
            str(value["column"]),
            line,
            format=value.get("format"),
            values=None if pairs is None else {str(k): _text(v) for k, v in pairs.items()},
            type=kind,
        )

    def read_constants(self, node: CommentedMap, zone: str) -> dict[str, Any]:
        return {
            str(name): self.read_instant(node, name, zone) if name in INSTANTS else value
            for name, value in node.items()
        }

    def read_instant(self, node: CommentedMap, name: str, zone: str) -> str:
        try:
            moment = datetime.fromisoformat(str(node[name]))
        except ValueError:
            raise self.fail(
                _line(node, name), f"`{name}` is no possible date: write one like 2024-02-29."
            ) from None
        return format_instant(moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone)))

    def check_fields(self, node: CommentedMap) -> None:
        for name in node:
            plain = str(name)
            prefix, _, rest = plain.partition(".")
            nested = self.kind == "leads" and prefix in ("attributes", "details") and rest
            if not nested and plain not in _FIELDS[self.kind]:
                problem = unknown(plain, _FIELDS[self.kind])
                raise self.fail(_line(node, name), f"The field of {self.kind} {problem}")

    def check_complete(self, given: Collection[str]) -> None:
        missing = [name for name in _REQUIRED[self.kind] if name not in given]
        if missing:
            raise self.fail(
                1, f"{self.kind} need `{missing[0]}`: add it under `columns:` or `constants:`."
            )
        keys = (*LEAD_KEYS, "message_id") if self.kind == "events" else LEAD_KEYS
        if not any(key in given for key in keys):
            raise self.fail(
                1, f"{self.kind} need one of {', '.join(keys)}: a column, or `row_number:`."
            )

    def read_where(self, text: str, line: int) -> exp.Expression:
        try:
            where = sqlglot.parse_one(text, dialect="duckdb")
        except sqlglot.errors.SqlglotError as error:
            raise self.fail(line, f"`where` cannot be read: {str(error).splitlines()[0]}") from None
        for node in where.walk():
            if not isinstance(node, _FILTER_NODES):
                raise self.fail(
                    line,
                    f"`where` may compare columns with values; `{node.sql()}` is more than that.",
                )
        return where.transform(_compare_as_number)

    def read_experiment(self, node: CommentedMap, constants: Mapping[str, Any]) -> dict[str, Any]:
        self.keys(node, _EXPERIMENT, "`experiment` has the field")
        for needed in ("experiment_id", "metric", "window", "arms"):
            if needed not in node:
                raise self.fail(_line(node), f"`experiment` needs `{needed}`.")
        arms = self.block(node, "arms")
        return {
            "experiment_id": str(node["experiment_id"]),
            "sequence_id": node.get("sequence_id", constants.get("sequence_id")),
            "step_id": node.get("step_id"),
            "varies": node.get("varies", "content"),
            "metric": str(node["metric"]),
            "window_seconds": self.seconds(node, "window"),
            "mode": node.get("mode", "open"),
            "planned_leads": node.get("planned_leads"),
            "alpha": float(node.get("alpha", 0.05)),
            "is_auto": False,
            "arms": [self.read_arm(arms, str(name)) for name in arms],
        }

    def read_arm(self, arms: CommentedMap, name: str) -> dict[str, Any]:
        arm = self.block(arms, name)
        self.keys(arm, _ARM, f"The arm {name} has the field")
        try:
            share = float(Fraction(str(arm.get("share", ""))))
        except (ValueError, ZeroDivisionError):
            raise self.fail(
                _line(arms, name), f"The arm {name} needs a `share` like 0.5 or 1/3."
            ) from None
        return {
            "arm": name,
            "role": arm.get("role", "treatment"),
            "share": share,
            "delay_seconds": self.seconds(arm, "delay") if "delay" in arm else None,
        }

    def seconds(self, node: CommentedMap, key: str) -> int:
        found = re.fullmatch(r"(\d+)([mhdw])", str(node[key]))
        if found is None:
            raise self.fail(_line(node, key), f"`{key}` is a time like 90m, 12h, 14d or 2w.")
        return int(found[1]) * _UNITS[found[2]]


def unknown(word: str, allowed: Collection[str]) -> str:
    """Say that a word is unknown, and the nearest one that is not."""
    near = get_close_matches(word, list(allowed), n=1)
    advice = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(allowed)}."
    return f"`{word}` is unknown: {advice}"


def load_import_map(path: Path, kind: str, name: str | None = None) -> ImportMap:
    """Read and check a map.

    Args:
        path: the map's file.
        kind: leads, enrollments, sends or events.
        name: name of the source, instead of the map's own; its stem when neither says.

    Raises:
        DripError: file, line and what to write instead.
    """
    if kind not in KINDS:
        raise DripError(f"The kind of import {unknown(kind, KINDS)}")
    text, document = _read_yaml(path)
    reader = _Reader(path, kind, name or str(document.get("name", path.stem)))
    reader.keys(document, _TOP, "The map has the field")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", reader.name):
        raise reader.fail(1, f"The name `{reader.name}` may hold letters, digits, _, . and - only.")
    columns, constants = reader.block(document, "columns"), reader.block(document, "constants")
    for node in (columns, constants):
        reader.check_fields(node)
    zone = _read_zone(reader, document)
    row_number = document.get("row_number")
    reader.check_complete({*columns, *constants, *([row_number] if row_number else [])})
    where = document.get("where")
    options = reader.block(document, "file")
    reader.keys(options, _FILE, "`file` has the option")
    experiment = reader.block(document, "experiment")
    return ImportMap(
        path=path,
        kind=kind,
        name=reader.name,
        columns=tuple(reader.read_column(columns, name) for name in columns),
        constants=reader.read_constants(constants, zone),
        row_number=row_number,
        where=reader.read_where(str(where), _line(document, "where")) if where else None,
        where_line=_line(document, "where") if where else 0,
        zone=zone,
        delimiter=str(options.get("delimiter", ",")),
        encoding=str(options.get("encoding", "utf-8")),
        has_header=bool(options.get("header", True)),
        experiment=reader.read_experiment(experiment, constants) if experiment else None,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _read_yaml(path: Path) -> tuple[str, CommentedMap]:
    try:
        text = path.read_text(encoding="utf-8")
        document = YAML(typ="rt").load(text)
    except FileNotFoundError:
        raise DripError(f"{path} does not exist: `--map` names the map's file.") from None
    except UnicodeDecodeError:
        raise DripError(f"{path} is not UTF-8 text: save it as such.") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DripError(f"{path}:{line}: this is no YAML: {error.problem}.") from None
    except YAMLError as error:
        raise DripError(f"{path}: this is no YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(document, CommentedMap):
        raise DripError(f"{path}:1: a map is a block of names and values, with `columns:`.")
    return text, document


def _read_zone(reader: _Reader, document: CommentedMap) -> str:
    zone = str(document.get("timezone", "UTC"))
    if zone not in list_zones():
        raise reader.fail(
            _line(document, "timezone"), f"`{zone}` is no time zone: write one like Europe/Berlin."
        )
    return zone


def _line(node: CommentedMap, key: object = None) -> int:
    if key is None:
        return int(node.lc.line) + 1
    return int(node.lc.key(key)[0]) + 1


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _compare_as_number(node: exp.Expression) -> exp.Expression:
    """Compare as numbers where a number is written: the columns of a CSV are text."""
    if isinstance(node, _COMPARISONS) and any(_is_number(side) for side in (node.left, node.right)):
        for side in (node.left, node.right):
            if isinstance(side, exp.Column):
                side.replace(exp.TryCast(this=side.copy(), to=exp.DataType.build("double")))
    return node


def _is_number(node: exp.Expr) -> bool:
    inner = node.this if isinstance(node, exp.Neg) else node
    return isinstance(inner, exp.Literal) and not inner.is_string
