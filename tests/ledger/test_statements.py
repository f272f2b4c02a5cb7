"""Statements from files: each gets the values it names, markers become expressions."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from pipeline.ledger.statements import fetch_value, run_file


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def test_each_statement_gets_the_values_that_it_names(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "two.sql"
    path.write_text(
        "-- what comes in\ncreate temp table t as select $a as a;\n\ninsert into t values ($b);\n"
        "insert into t select $a + $b;"
    )
    run_file(con, path, a=1, b=2)
    assert con.execute("select a from t order by a").fetchall() == [(1,), (2,), (3,)]


def test_a_marker_becomes_its_expression_and_else_stays_what_it_was(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "marked.sql"
    path.write_text(
        "create or replace temp table t as select i, /*label*/ null as label "
        "from generate_series(1, 4) as s (i) where /*rule*/ true"
    )
    run_file(con, path)
    assert con.execute("select count(*), count(label) from t").fetchall() == [(4, 0)]
    run_file(con, path, expressions={"rule": "(i % 2 = 0)", "label": "'even'"})
    assert con.execute("from t order by i").fetchall() == [(2, "even"), (4, "even")]


def test_a_value_is_bound_and_never_becomes_sql(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "bound.sql"
    path.write_text("create temp table t as select $name as name")
    run_file(con, path, name="'; drop table t; --")
    assert fetch_value(con, "select name from t") == "'; drop table t; --"


def test_a_value_that_is_missing_is_an_error(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "missing.sql"
    path.write_text("select $absent")
    with pytest.raises(KeyError, match="absent"):
        run_file(con, path)


def test_a_single_value_leaves_nothing_open(con: duckdb.DuckDBPyConnection) -> None:
    assert fetch_value(con, "select i from generate_series(7, 9) as t (i) order by i") == 7
    assert fetch_value(con, "select 1 where false") is None
    assert fetch_value(con, "select $a", {"a": None}) is None
    assert fetch_value(con, "select ?", [5]) == 5
    con.execute("create table t (i integer)")
    con.execute("drop table t")
