"""A serial hands out every number once, over transactions, rollbacks and restarts."""

import os
import subprocess
import sys

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger.serials import draw_numbers

DRAW_AND_DIE = """
import os, sys, duckdb
from pipeline.ledger.serials import draw_numbers
con = duckdb.connect(sys.argv[1])
con.execute("begin")
print(draw_numbers(con, "send_ids", 40), flush=True)
con.execute("create table told (i integer)")
con.execute("commit")
os.kill(os.getpid(), 9)
"""


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=12))
def test_no_number_is_drawn_twice_whatever_is_rolled_back(draws):
    con = duckdb.connect()
    con.execute("create sequence send_ids")
    last = 0
    for count, is_kept in draws:
        con.execute("begin")
        first = draw_numbers(con, "send_ids", count)
        con.execute("commit" if is_kept else "rollback")
        if count:
            assert first == last + 1
            last += count


def test_nothing_is_drawn_where_nothing_is_asked_for():
    con = duckdb.connect()
    con.execute("create sequence send_ids")
    assert draw_numbers(con, "send_ids", 0) == 0
    assert draw_numbers(con, "send_ids", 1) == 1


def test_numbers_drawn_before_a_kill_are_never_drawn_again(tmp_path):
    path = tmp_path / "ledger.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("create sequence send_ids")
    died = subprocess.run(
        [sys.executable, "-c", DRAW_AND_DIE, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert int(died.stdout) == 1
    with duckdb.connect(str(path)) as con:
        assert draw_numbers(con, "send_ids", 2) == 41
