"""Refresh, query and report from the command line."""

import re
from pathlib import Path


def test_refresh_query_and_report_give_json(drip, started):
    told = drip("query", "from marts.leads", "--json")
    assert told.code == 1
    assert "Run `drip refresh`" in told.err
    told = drip("refresh", "--json")
    assert told.code == 0, told.err
    assert told.json()["rows"]["marts.leads"] == 1
    assert told.json()["count_checks"] > 40
    (row,) = drip("query", "from marts.leads", "--json").json()
    assert (row["source"], row["status"], row["revenue"]) == ("MANUAL", "contacted", "0.0000")
    assert Path(drip("report", "--json").json()["path"]).read_text().startswith("<!doctype html>")
    assert drip("status", "--json").json()["last_refresh_at"] is not None
    # the same in words: few columns as a table, many as records
    assert "1 rows" in drip("query", "select 1 as one, 'a [b]' as two").out
    assert "a [b]" in drip("query", "select 1 as one, 'a [b]' as two").out
    told = drip("query", "from marts.leads")
    assert "first_contacted_at  " in told.out
    # a week's copy answers to the same names, and which weeks there are is told
    told = drip("query", "select 1", "--as-of", "2020-W01")
    assert told.code == 1
    (week,) = re.findall(r"There are: (\d{4}-W\d{2})\.", told.err)
    assert drip("query", "from marts.leads", "--as-of", week, "--json").json() == [row]
    assert drip("query", "select 1", "--as-of", "../warehouse").code == 1
    told = drip("query", "selct 1")
    assert (told.code, told.out) == (1, "")
    assert "syntax error" in told.err
    assert "show all tables" in told.err
