from pathlib import Path

import duckdb

from pipeline.warehouse.copy import copy_facts, discard_facts


def test_the_copy_holds_the_ledger_and_nobody_else_may_read_it(filled_home: Path) -> None:
    copy = copy_facts(filled_home)
    with duckdb.connect(str(copy), read_only=True) as con:
        assert con.execute("select count(*) from leads").fetchall() == [(9,)]
    assert copy.stat().st_mode & 0o077 == 0


def test_a_second_copy_replaces_the_first(filled_home: Path) -> None:
    assert copy_facts(filled_home) == copy_facts(filled_home)


def test_the_copy_with_its_names_and_addresses_does_not_stay(filled_home: Path) -> None:
    copy = copy_facts(filled_home)
    discard_facts(filled_home)
    discard_facts(filled_home)
    assert not copy.exists()


def test_a_refresh_leaves_no_copy_behind(refreshed_home: Path) -> None:
    assert not (refreshed_home / "dbt" / "ledger.duckdb").exists()
