"""Rates hold their interval, and a query with its values is the same query."""

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis.pieces import Query, Rate, percent_range


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_interval_of_a_rate_holds_the_rate(a, b):
    rate = Rate(min(a, b), max(a, b), "sent")
    if rate.interval is None:
        assert rate.of == 0
        assert (rate.text, rate.interval_text) == ("–", "")
    else:
        low, high = rate.interval
        assert 0 <= low <= rate.share + 1e-12
        assert rate.share - 1e-12 <= high <= 1


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_a_value_that_is_written_in_is_the_value(value):
    query = Query("select $name as found", {"name": value})
    with duckdb.connect() as con:
        assert query.rows(con) == [{"found": value}]
        assert con.sql(query.text).fetchall() == [(value,)]


def test_a_range_names_its_unit_once():
    assert percent_range(0.012, 0.3) == "1.2 to 30.0\N{NO-BREAK SPACE}%"
