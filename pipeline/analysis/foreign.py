"""Anyone's table, decided by the same rules: for people who send with something else.

Belongs here: a file of subjects or of sums to the arms of an experiment. Does not: the decision
(`decisions`; of arms with few clusters `few_clusters`), printing it (`drip analyze`).
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from pipeline.analysis.adjustment import PairedSums, adjust_for_covariate, ratio_of_sums
from pipeline.analysis.arm_stats import ArmStats
from pipeline.analysis.decision_rows import LOOKS_SCHEMA
from pipeline.analysis.decisions import decide_experiments
from pipeline.analysis.few_clusters import ClusterSums, few_arms, judge_few
from pipeline.analysis.guardrails import METRICS
from pipeline.settings import DripError

# Metrics that are known by name; other columns are named by what they hold.
_KNOWN = {"replied", "clicked", "opened", "unsubscribed", "complained", "bounced"}
MOST_ARMS = 20
# Of a sum; its square still has to be a number.
LARGEST = 1e100
_SUMS = ("n", "sum", "sum_squares")
_READERS = {".csv": "read_csv", ".tsv": "read_csv", ".gz": "read_csv", ".parquet": "read_parquet"}


@dataclass(frozen=True)
class Question:
    """What is asked of a file: which column holds what, and by which rule to decide.

    `metrics`: columns of outcomes, 0 and 1 or amounts; the first one decides. A file of sums has
    the columns n, sum and sum_squares instead, and may have a column `metric`. `shares`: how
    subjects were split; equally if empty. `planned`: the planned number of subjects, if any.
    """

    arm: str
    metrics: tuple[str, ...] = ()
    control: str | None = None
    subject: str | None = None
    cluster: str | None = None
    covariate: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    planned: int | None = None
    alpha: float = 0.05


def analyze_file(path: Path, question: Question, now: datetime) -> dict[str, Any]:
    """Return decision and comparisons of a CSV or Parquet file, as `drip analyze` prints them.

    Empty outcomes are subjects whose outcome is not known yet: they count as assigned only.
    Subjects seen in two arms are left out and counted.

    Raises:
        DripError: the file cannot be read, or a column is missing or holds no numbers.
    """
    with duckdb.connect() as con:
        _load(con, path)
        columns = [row[0] for row in con.execute("describe subjects").fetchall()]
        is_sums = set(_SUMS) <= set(columns)
        _check_columns(question, columns, is_sums=is_sums)
        if not con.execute("select count(*) from subjects").fetchall()[0][0]:
            raise DripError(f"{path} has no rows: write one per subject, or one per arm with sums.")
        if is_sums:
            rows, conflicting = _read_sums(con, question, columns), 0
        else:
            rows, conflicting = _read_subjects(con, question)
    return _decide(path, question, rows, conflicting, now)


def _load(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DripError(f"{path} is neither CSV nor Parquet: save it as .csv or .parquet.")
    if not path.is_file():
        raise DripError(f"{path} does not exist: check the path.")
    try:
        con.execute(f"create table subjects as from {reader}($path)", {"path": str(path)})
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise DripError(f"{path} cannot be read ({reason}): save it anew as CSV.") from None


def _check_columns(question: Question, columns: Sequence[str], *, is_sums: bool) -> None:
    """Raise for a column that is named and not there."""
    wanted = [question.arm, question.subject, question.cluster, question.covariate]
    wanted += [] if is_sums else question.metrics
    for name in wanted:
        if name is not None and name not in columns:
            raise DripError(f"There is no column {name!r}: the file has {', '.join(columns)}.")
    if is_sums and (question.cluster or question.covariate or question.subject):
        raise DripError(
            "A file of sums has no subjects: leave out --subject, --cluster and --covariate."
        )
    if not is_sums and not question.metrics:
        raise DripError("Say what to compare: --metric with the name of a column of outcomes.")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _read_sums(
    con: duckdb.DuckDBPyConnection, question: Question, columns: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the rows of a file of sums: one per metric and arm, its parts added."""
    metric = "metric" if "metric" in columns else "'outcome'"
    found = _execute(
        con,
        f"""
        select {metric} as metric, cast({_quoted(question.arm)} as varchar) as arm,
            cast(sum(n) as bigint) as n, cast(sum("sum") as double) as total,
            cast(sum(sum_squares) as double) as squares
        from subjects
        where {_quoted(question.arm)} is not null
        group by all
        order by all
        """,  # noqa: S608
    )
    for name, arm, *sums in found:
        _check_sums(f"{name}, {arm}", *sums)
    wanted = question.metrics or tuple(dict.fromkeys(row[0] for row in found))
    found = sorted((row for row in found if row[0] in wanted), key=lambda row: wanted.index(row[0]))
    rows = [
        _row(name, arm, n, ArmStats(n, total, squares), ArmStats(n, total, squares).is_binary)
        for name, arm, n, total, squares in found
    ]
    missing = set(wanted) - {row[0] for row in found}
    if missing or not rows:
        raise DripError(f"The file has no sums of {', '.join(sorted(missing)) or 'anything'}.")
    return rows


def _check_sums(name: str, n: int | None, total: float | None, squares: float | None) -> None:
    """Raise for what cannot be the sums of so many subjects."""
    if n is None or total is None or squares is None or not _is_finite([n, total, squares]):
        raise DripError(f"The sums of {name} are incomplete: write n, sum and sum_squares of each.")
    # Cauchy and Schwarz; a file has its sums rounded.
    if n < 0 or squares < 0 or total**2 > n * squares * (1 + 1e-6) + 1e-6:
        raise DripError(
            f"No {n:,} subjects have sum {total:g} and sum_squares {squares:g} ({name}): "
            "sum_squares is the sum of the squared outcomes."
        )


def _is_finite(numbers: Iterable[float]) -> bool:
    return all(math.isfinite(number) and abs(number) < LARGEST for number in numbers)


def _read_subjects(
    con: duckdb.DuckDBPyConnection, question: Question
) -> tuple[list[dict[str, Any]], int]:
    """Return the sums of a file of subjects, and how many subjects were seen in two arms."""
    key = _quoted(question.subject) if question.subject else "rowid"
    conflicting = _execute(
        con,
        f"""
        create or replace temp table twice as
        select {key} as key
        from subjects
        group by {key}
        having count(distinct {_quoted(question.arm)}) > 1;
        select count(*) from twice
        """,  # noqa: S608
    )[0][0]
    if question.cluster:
        _check_clusters(con, question)
    rows = []
    for metric in question.metrics:
        if not _is_number(con, metric):
            raise DripError(f"Column {metric!r} holds no numbers: write 0 and 1, or amounts.")
        rows += _sum_subjects(con, question, metric, key)
    return rows, int(conflicting)


def _check_clusters(con: duckdb.DuckDBPyConnection, question: Question) -> None:
    """Raise where clusters were not drawn as a whole: then they are no unit of the test."""
    name = question.cluster or ""
    split = _execute(
        con,
        f"""
        select count(*) from (
            select {_quoted(name)}
            from subjects
            group by all
            having count(distinct {_quoted(question.arm)}) > 1
        )
        """,  # noqa: S608
    )[0][0]
    if split:
        raise DripError(
            f"{split:,} values of {name!r} have subjects in several arms, so it was not drawn as a "
            "whole: leave out --cluster."
        )


def _is_number(con: duckdb.DuckDBPyConnection, column: str) -> bool:
    found = _execute(con, f"select typeof(any_value({_quoted(column)})) from subjects")  # noqa: S608
    kind = str(found[0][0])
    return kind.startswith(("DECIMAL", "BOOL", "DOUBLE", "FLOAT", '"NULL"')) or "INT" in kind


def _sum_subjects(
    con: duckdb.DuckDBPyConnection, question: Question, metric: str, key: str
) -> list[dict[str, Any]]:
    """Return one row per arm: a subject counts once, with its clusters or covariate beside."""
    second = "1"
    if question.covariate:
        second = f"max(cast({_quoted(question.covariate)} as double))"
    group = _quoted(question.cluster) if question.cluster else key
    # What is 0 or 1 stays so when a subject has several rows; amounts add up.
    is_share = _is_binary(con, metric)
    fold = "max" if is_share else "sum"
    _execute(
        con,
        f"""
        create or replace temp table parts as
        with of_subject as (
            select
                cast(min({_quoted(question.arm)}) as varchar) as arm,
                min({group}) as part,
                {fold}(cast({_quoted(metric)} as double)) as y,
                {second} as x
            from subjects
            where {_quoted(question.arm)} is not null and {key} not in (select key from twice)
            group by {key}
        )

        select arm, part, sum(y) as y, {"count(y)" if question.cluster else "sum(x)"} as x
        from of_subject
        group by arm, part
        """,  # noqa: S608
    )
    # What was drawn is the part: a cluster, or else a subject.
    found = _execute(
        con,
        """
        select
            arm,
            count(*),
            count(y),
            coalesce(sum(y), 0),
            coalesce(sum(y * y), 0),
            coalesce(sum(x) filter (where y is not null), 0),
            coalesce(sum(x * x) filter (where y is not null), 0),
            coalesce(sum(x * y), 0)
        from parts
        group by arm
        order by arm
        """,
    )
    if not all(_is_finite(row[1:]) for row in found):
        columns = " or ".join(repr(name) for name in (metric, question.covariate) if name)
        raise DripError(
            f"Column {columns} holds NaN, infinite or far too large values: leave a cell empty "
            "where nothing is known."
        )
    paired = [PairedSums(*row[2:]) for row in found]
    if question.cluster:
        stats = [ratio_of_sums(arm) for arm in paired]
    elif question.covariate:
        stats = adjust_for_covariate(paired)
    else:
        stats = [arm.outcome for arm in paired]
    rows = [
        _row(metric, row[0], row[1], of_arm, is_share)
        for row, of_arm in zip(found, stats, strict=True)
    ]
    if question.cluster:
        rows = [{**row, "clusters": _read_clusters(con, row["arm"])} for row in rows]
    return rows


def _read_clusters(con: duckdb.DuckDBPyConnection, arm: str) -> ClusterSums:
    """Return the clusters of an arm with a known outcome, in an order of their own."""
    sql = "select y, x from parts where arm = ? and y is not null order by x, y"
    values = np.array(con.execute(sql, [arm]).fetchall(), dtype=np.float64).reshape(-1, 2)
    return ClusterSums(values[:, 0], values[:, 1])


def _row(metric: str, arm: str, n_assigned: int, sums: ArmStats, is_share: bool) -> dict[str, Any]:
    """Return an arm's sums of one metric, under a name that says whether it is an amount."""
    label = f"custom({metric})" if is_share else f"revenue({metric})"
    return {
        "metric": metric if metric in _KNOWN else label,
        "arm": arm,
        "n_assigned": n_assigned,
        "stats": sums,
    }


def _is_binary(con: duckdb.DuckDBPyConnection, metric: str) -> bool:
    column = _quoted(metric)
    found = _execute(
        con,
        f"select coalesce(bool_and(cast({column} as double) in (0, 1)), true) from subjects",  # noqa: S608
    )
    return bool(found[0][0])


def _execute(con: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    try:
        return con.execute(sql).fetchall()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise DripError(f"The file cannot be summed ({reason}): check its columns.") from None


def _decide(
    path: Path,
    question: Question,
    rows: Sequence[Mapping[str, Any]],
    conflicting: int,
    now: datetime,
) -> dict[str, Any]:
    """Return the decision of one look at the file."""
    names = sorted({row["arm"] for row in rows})
    if not names:
        raise DripError(f"Column {question.arm!r} is empty: it has to name the arm of each row.")
    control = question.control or names[0]
    if len(names) > MOST_ARMS:
        raise DripError(f"{question.arm!r} has {len(names):,} values: name the column of the arm.")
    if control not in names:
        raise DripError(f"There is no arm {control!r}: the file has {', '.join(names)}.")
    shares = dict(question.shares) or {name: 1 / len(names) for name in names}
    if set(shares) != set(names):
        raise DripError(f"--share has to name each arm once: {', '.join(names)}.")
    whole = sum(shares.values())
    primary = rows[0]["metric"]
    experiments = pl.DataFrame(
        [
            {
                "experiment_id": path.stem,
                "metric": primary,
                "mode": "planned" if question.planned else "open",
                "planned_leads": question.planned,
                "alpha": question.alpha,
                "is_auto": False,
                "control": control,
                "count_conflicting_units": conflicting,
                "allocation": "weights",
                "has_changing_shares": False,
                "guardrails": [*METRICS],
                # A file brings no finished tests that a prior could be learned from.
                "expected_loss": None,
                "margin": None,
            }
        ]
    )
    arms = pl.DataFrame(
        [
            {
                "experiment_id": path.stem,
                "metric": row["metric"],
                "is_primary": row["metric"] == primary,
                "arm": row["arm"],
                "role": "control" if row["arm"] == control else "treatment",
                "share": shares[row["arm"]] / whole,
                "assigned_on": date(now.year, now.month, now.day),
                "n_assigned": row["n_assigned"],
                "n": row["stats"].n,
                "sum": row["stats"].sum,
                "sum_squares": row["stats"].sum_squares,
                "sum_so_far": row["stats"].sum,
                "n_engaged": 0,
                "sum_engaged": 0.0,
                "probability": shares[row["arm"]] / whole,
            }
            for row in rows
        ]
    )
    looks = pl.DataFrame(schema=LOOKS_SCHEMA)
    decisions, comparisons = decide_experiments(experiments, arms, looks, now)
    [decision] = decisions.drop("evidence", "is_auto", "looked_on", "experiment_id").to_dicts()
    pairs = comparisons.drop("experiment_id", "is_against_held_out").to_dicts()
    few: list[str] = []
    if question.cluster:
        clusters: dict[str, dict[str, ClusterSums]] = {}
        for row in rows:
            clusters.setdefault(row["metric"], {})[row["arm"]] = row["clusters"]
        few = few_arms(clusters[primary])
        harm = json.loads(decisions["evidence"][0])["harm"]
        decision, pairs = judge_few(decision, pairs, clusters, question.planned, harm)
    return {
        "file": str(path),
        "decision": decision,
        "conflicting_subjects": conflicting,
        "few_clusters": few,
        "comparisons": pairs,
    }
