"""History from other tools: a CSV or Parquet file, mapped row by row into landing lines.

Belongs here: reading a file in chunks, row errors, progress, landing. Does not: the map's own
language (`import_maps`), what a line does to the ledger (`ingest`).
"""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import duckdb
import polars as pl

from pipeline.inbound.import_maps import (
    INSTANTS,
    LEAD_KEYS,
    ColumnField,
    ImportMap,
    load_import_map,
    unknown,
)
from pipeline.inbound.landing import append_lines, format_instant
from pipeline.settings import DripError

CHUNK_ROWS = 50_000
_RECORDS_PER_LINE = 20
_MAX_CELL = 16 * 1024 * 1024
_TRUE, _FALSE = ["true", "t", "yes", "y", "1"], ["false", "f", "no", "n", "0"]
_ROW = "row number of the file"


@dataclass(frozen=True)
class ImportReport:
    """What became of a file, in rows: read in all, landed by this run, refused in all."""

    read: int
    landed: int
    rejected: int
    rejects_path: Path | None


@dataclass
class _Progress:
    """How far this file went under this map: a later run goes on behind it."""

    rows: int = 0
    rejected: int = 0
    is_complete: bool = False


@dataclass(frozen=True)
class _Run:
    """One file under one map."""

    mapping: ImportMap
    path: Path
    digest: str
    chunk_rows: int


@dataclass
class _Statement:
    """The mapping as one select, with the values it binds."""

    sql: str
    values: dict[str, object]


def import_file(
    kind: str,
    path: Path,
    map_path: Path,
    home: Path,
    now: datetime,
    name: str | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> ImportReport:
    """Map a file's rows and land them; the next ingest takes them in as history (R24).

    Rows that cannot be mapped go to `home/imports/<file>.<map>.rejects.csv` and stop nothing. A
    second run of the same file and map lands nothing; an interrupted one is continued.

    Args:
        kind: leads, enrollments, sends or events.
        path: CSV (.csv, .csv.gz) or Parquet.
        map_path: MAP.yml, see `import_maps`.
        home: the workspace.
        now: when the lines are received.
        name: name of the source, instead of the map's.
        chunk_rows: rows that are mapped and landed at once.

    Raises:
        DripError: the map or the whole file is wrong, or the disk is full.
    """
    mapping = load_import_map(map_path, kind, name)
    if not path.is_file():
        raise DripError(f"{path} does not exist: give the file to import.")
    digest = _digest_file(path)
    marker = home / "imports" / f"{mapping.name}-{kind}-{_key(mapping, digest)}.json"
    progress = _load_progress(marker)
    rejects = home / "imports" / f"{path.name}.{map_path.stem}.rejects.csv"
    landed = 0
    if not progress.is_complete:
        marker.parent.mkdir(parents=True, exist_ok=True)
        run = _Run(mapping, path, digest, chunk_rows)
        landed = _land_rows(run, home, now, progress, (marker, rejects))
        progress.is_complete = True
        _save_progress(marker, progress)
    return ImportReport(
        read=progress.rows,
        landed=landed,
        rejected=progress.rejected,
        rejects_path=rejects if progress.rejected else None,
    )


def _land_rows(
    run: _Run,
    home: Path,
    now: datetime,
    progress: _Progress,
    places: tuple[Path, Path],
) -> int:
    mapping, digest = run.mapping, run.digest
    marker, rejects = places
    landed = 0
    if progress.rows == 0:
        rejects.unlink(missing_ok=True)
        _land_experiment(mapping, home, now, digest)
    for names, chunk, broken in _read_chunks(run, progress.rows):
        records, unmapped = _map_chunk(chunk, mapping, names)
        append_lines(home, "import", _lines(mapping, records, now, digest), now)
        _write_rejects(rejects, names, sorted([*broken, *unmapped]))
        landed += len(records)
        progress.rows += len(chunk) + len(broken)
        progress.rejected += len(broken) + len(unmapped)
        _save_progress(marker, progress)
    return landed


# Reading ---------------------------------------------------------------------------------------

Fault = tuple[int, str, list[str]]
Chunk = tuple[list[str], pl.DataFrame, list[Fault]]


def _read_chunks(run: _Run, skip: int) -> Iterator[Chunk]:
    """Yield column names, a frame of text with its row numbers, and the rows that are no rows."""
    if run.path.suffix == ".parquet":
        yield from _read_parquet(run, skip)
    elif run.path.name.endswith((".csv", ".csv.gz")):
        yield from _read_csv(run, skip)
    else:
        raise DripError(f"{run.path}: only .csv, .csv.gz and .parquet files can be imported.")


def _read_parquet(run: _Run, skip: int) -> Iterator[Chunk]:
    path, mapping = run.path, run.mapping
    with duckdb.connect() as con:
        try:
            source = con.read_parquet(str(path))
        except duckdb.Error as error:
            raise DripError(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from None
        names = source.columns
        _check_columns(names, path, mapping)
        con.execute("set TimeZone = 'UTC'")
        con.execute("set preserve_insertion_order = true")
        text = source.project(
            ", ".join(f"cast({_quote(n)} as varchar) as {_quote(n)}" for n in names)
        )
        offset = skip
        while not (chunk := text.limit(run.chunk_rows, offset=offset).pl()).is_empty():
            yield names, chunk.with_row_index(_ROW, offset + 1), []
            offset += len(chunk)


def _read_csv(run: _Run, skip: int) -> Iterator[Chunk]:
    path, mapping = run.path, run.mapping
    csv.field_size_limit(_MAX_CELL)
    with _open_text(path, mapping) as file:
        reader = (row for row in csv.reader(file, delimiter=mapping.delimiter) if row)
        try:
            names, first = _read_header(reader, path, mapping)
            rows: list[tuple[int, list[str]]] = []
            for number, row in enumerate(_after(first, reader), start=1):
                if number <= skip:
                    continue
                rows.append((number, row))
                if len(rows) == run.chunk_rows:
                    yield _as_chunk(names, rows, mapping)
                    rows = []
            if rows:
                yield _as_chunk(names, rows, mapping)
        except (csv.Error, EOFError, OSError, UnicodeError) as error:
            raise DripError(
                f"{path} cannot be read to its end ({error}). What was read has landed; "
                "mend the file and run the import again."
            ) from None


@contextmanager
def _open_text(path: Path, mapping: ImportMap) -> Iterator[TextIO]:
    encoding = "utf-8-sig" if mapping.encoding.lower() in ("utf-8", "utf8") else mapping.encoding
    with path.open("rb") as raw:
        data: Any = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        try:
            file = io.TextIOWrapper(data, encoding=encoding, errors="replace", newline="")
        except LookupError:
            raise DripError(
                f"{mapping.path}: `{mapping.encoding}` is no encoding: write utf-8, latin-1, "
                "cp1252 or utf-16."
            ) from None
        with file:
            yield file


def _read_header(
    reader: Iterator[list[str]], path: Path, mapping: ImportMap
) -> tuple[list[str], list[str] | None]:
    """Return the columns' names, and the first row when there is no header."""
    first = next(reader, None)
    if first is None:
        raise DripError(f"{path} is empty: there is nothing to import.")
    if not mapping.has_header:
        names = [f"column{number}" for number in range(1, len(first) + 1)]
        _check_columns(names, path, mapping)
        return names, first
    names = [name.strip() for name in first]
    if any("\0" in name or "\ufffd" in name for name in names):
        raise DripError(
            f"{path} is not {mapping.encoding} text: write its encoding into {mapping.path}, "
            "as `file: {encoding: latin-1}` or `utf-16`."
        )
    _check_columns(names, path, mapping)
    return names, None


def _check_columns(names: Sequence[str], path: Path, mapping: ImportMap) -> None:
    double = next((name for name in names if list(names).count(name) > 1), None)
    if double is not None:
        raise DripError(f"{path} has two columns called `{double}`: rename one.")
    for column, line in mapping.columns_used().items():
        if column not in names:
            raise DripError(
                f"{mapping.path}:{line}: in {path.name} the column {unknown(column, names)}"
            )


def _after(first: list[str] | None, rest: Iterator[list[str]]) -> Iterator[list[str]]:
    if first is not None:
        yield first
    yield from rest


def _as_chunk(names: list[str], rows: list[tuple[int, list[str]]], mapping: ImportMap) -> Chunk:
    faults: list[Fault] = []
    good: list[tuple[int, list[str]]] = []
    for number, row in rows:
        reason = _row_fault(names, row, mapping)
        if reason is None:
            good.append((number, row))
        else:
            faults.append((number, reason, row))
    frame = pl.DataFrame(
        [row for _, row in good],
        schema=dict.fromkeys(names, pl.String),
        orient="row",
    ).with_columns(pl.Series(_ROW, [number for number, _ in good], dtype=pl.Int64))
    return names, frame, faults


def _row_fault(names: list[str], row: list[str], mapping: ImportMap) -> str | None:
    if len(row) != len(names):
        return f"The row has {len(row)} cells, the header {len(names)}: look for a stray delimiter."
    if any("\ufffd" in cell for cell in row):
        return (
            f"The row is not {mapping.encoding} text: `file: {{encoding: …}}` of the map may help."
        )
    return None


# Mapping ---------------------------------------------------------------------------------------


def _map_chunk(
    chunk: pl.DataFrame, mapping: ImportMap, names: list[str]
) -> tuple[list[str], list[Fault]]:
    """Return the records as JSON text, and the rows that could not be mapped."""
    statement = _mapping_statement(mapping)
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.register("chunk", chunk)
        rows = con.sql(statement.sql, params=statement.values).pl()
    good = rows.filter(pl.col("reason").is_null())
    bad = rows.filter(pl.col("reason").is_not_null()).join(
        chunk, left_on="number", right_on=_ROW, how="left"
    )
    faults = [
        (number, reason, [cell or "" for cell in cells])
        for number, reason, *cells in bad.select("number", "reason", *names).iter_rows()
    ]
    return good["record"].to_list(), faults


def _mapping_statement(mapping: ImportMap) -> _Statement:
    values: dict[str, object] = {"prefix": f"{mapping.path.stem}-"}
    fields: dict[str, str] = {}
    checks: list[str] = []
    for number, spec in enumerate(mapping.columns):
        fields[spec.name], check = _field_sql(spec, number, mapping, values)
        checks.extend(check)
    for number, (name, value) in enumerate(mapping.constants.items()):
        values[f"constant_{number}"] = json.dumps(value, default=str)
        fields[name] = f"cast($constant_{number} as json)"
    if mapping.row_number:
        fields[mapping.row_number] = f"cast({_quote(_ROW)} as varchar)"
    if mapping.kind in ("events", "sends") and "key" not in fields:
        fields["key"] = f"$prefix || {_quote(_ROW)}"
    else:
        del values["prefix"]
    if mapping.experiment is not None and "arm" in fields:
        values["experiment_id"] = mapping.experiment["experiment_id"]
        fields["experiment_id"] = "$experiment_id"
    where = mapping.where.sql(dialect="duckdb", identify=True) if mapping.where else "true"
    reason = f"case {' '.join(checks)} end" if checks else "cast(null as varchar)"
    sql = (
        f"select cast({_quote(_ROW)} as bigint) as number, {reason} as reason, "  # noqa: S608
        f"cast({_record_sql(mapping.kind, fields)} as varchar) as record "
        f"from chunk where {where} order by {_quote(_ROW)}"
    )
    return _Statement(sql, values)


def _field_sql(
    spec: ColumnField, number: int, mapping: ImportMap, values: dict[str, object]
) -> tuple[str, list[str]]:
    """Return a field's expression, and the `when … then …` of what can be wrong with it."""
    text = f"nullif(trim({_quote(spec.column)}), '')"
    complaint = f"then $complaint_{number} || {text}"
    if spec.values is not None:
        values[f"keys_{number}"] = list(spec.values)
        values[f"values_{number}"] = list(spec.values.values())
        place = f"list_position($keys_{number}, {text})"
        values[f"complaint_{number}"] = f"{spec.column}: the map of {spec.name} does not have "
        return (
            f"$values_{number}[{place}]",
            [f"when {text} is not null and {place} is null {complaint}"],
        )
    if spec.name in INSTANTS:
        value = _instant_sql(text, spec, number, mapping, values)
        shape = f"a date of the format {spec.format}" if spec.format else "a possible date"
        values[f"complaint_{number}"] = f"{spec.column}: this is not {shape}: "
        return (
            f"strftime({value}, '%Y-%m-%dT%H:%M:%S.%fZ')",
            [f"when {text} is not null and {value} is null {complaint}"],
        )
    if spec.name == "value" or spec.type == "number":
        kind = "decimal(18, 4)" if spec.name == "value" else "double"
        value = f"try_cast({text} as {kind})"
        values[f"complaint_{number}"] = f"{spec.column}: this is not a number: "
        shown = f"cast({value} as varchar)" if spec.name == "value" else value
        return shown, [f"when {text} is not null and {value} is null {complaint}"]
    if spec.type == "boolean":
        values[f"complaint_{number}"] = f"{spec.column}: this is not yes or no: "
        values["true_words"], values["false_words"] = _TRUE, _FALSE
        value = (
            f"case when list_contains($true_words, lower({text})) then true "
            f"when list_contains($false_words, lower({text})) then false end"
        )
        return value, [f"when {text} is not null and ({value}) is null {complaint}"]
    return text, []


def _instant_sql(
    text: str, spec: ColumnField, number: int, mapping: ImportMap, values: dict[str, object]
) -> str:
    """Return a UTC timestamp; a date without a zone is one of the map's zone."""
    values["zone"] = mapping.zone
    if spec.format and "%z" not in spec.format.lower():
        values[f"format_{number}"] = spec.format
        return f"timezone('UTC', timezone($zone, try_strptime({text}, $format_{number})))"
    if spec.format:
        values[f"format_{number}"] = spec.format
        return f"timezone('UTC', cast(try_strptime({text}, $format_{number}) as timestamptz))"
    zoned = f"regexp_matches({text}, ':[0-9.:]+ ?(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)$')"
    return (
        f"if({zoned}, timezone('UTC', try_cast({text} as timestamptz)), "
        f"timezone('UTC', timezone($zone, try_cast({text} as timestamp))))"
    )


def _record_sql(kind: str, fields: dict[str, str]) -> str:
    nested: dict[str, dict[str, str]] = {}
    for name, sql in fields.items():
        outer, _, inner = name.partition(".")
        if kind in ("enrollments", "sends") and name in LEAD_KEYS:
            outer, inner = "lead", name
        nested.setdefault(outer if inner else "", {})[inner or outer] = sql
    parts = [f"{_literal(name)}, {sql}" for name, sql in nested.pop("", {}).items()]
    for outer, inners in nested.items():
        inside = ", ".join(f"{_literal(name)}, {sql}" for name, sql in inners.items())
        parts.append(f"{_literal(outer)}, json_object({inside})")
    # The merge leaves out what is null.
    return f"json_merge_patch('{{}}', json_object({', '.join(parts)}))"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# Landing ---------------------------------------------------------------------------------------


def _lines(
    mapping: ImportMap, records: list[str], now: datetime, digest: str
) -> Iterator[dict[str, Any]]:
    for start in range(0, len(records), _RECORDS_PER_LINE):
        part = [json.loads(record) for record in records[start : start + _RECORDS_PER_LINE]]
        yield _line(mapping, mapping.kind, part, now, f"{digest} {records[start]}")


def _line(
    mapping: ImportMap, part: str, records: list[Any], now: datetime, seed: str
) -> dict[str, Any]:
    text = f"{mapping.name} {mapping.digest} {part} {seed}"
    return {
        # The same rows make the same line, so that landing them twice is seen to be nothing new.
        "id": hashlib.sha256(text.encode()).hexdigest()[:32],
        "received_at": format_instant(now),
        "source": f"import:{mapping.name}",
        part: records,
        "raw": None,
        "error": None,
    }


def _land_experiment(mapping: ImportMap, home: Path, now: datetime, digest: str) -> None:
    if mapping.experiment is not None:
        line = _line(mapping, "experiments", [dict(mapping.experiment)], now, digest)
        append_lines(home, "import", [line], now)


def _write_rejects(path: Path, names: list[str], faults: list[Fault]) -> None:
    if not faults:
        return
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(["row", "reason", *names])
        writer.writerows([number, reason, *cells] for number, reason, cells in faults)


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(mapping: ImportMap, digest: str) -> str:
    return hashlib.sha256(f"{digest} {mapping.digest}".encode()).hexdigest()[:16]


def _load_progress(marker: Path) -> _Progress:
    try:
        return _Progress(**json.loads(marker.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return _Progress()


def _save_progress(marker: Path, progress: _Progress) -> None:
    fresh = marker.with_suffix(".fresh")
    fresh.write_text(json.dumps(asdict(progress)))
    fresh.rename(marker)
