import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.warehouse.results import (
    AuditFailed,
    explain_failures,
    explain_warnings,
    read_expected_checks,
    read_results,
)


def write_results(home: Path, *results: dict[str, Any]) -> None:
    target = home / "dbt" / "target"
    target.mkdir(parents=True, exist_ok=True)
    data = {"metadata": {"invocation_id": "i1"}, "results": list(results)}
    (target / "run_results.json").write_text(json.dumps(data))


def result(name: str, status: str, compiled: str = "", message: str = "") -> dict[str, Any]:
    return {
        "unique_id": f"test.driplab.{name}.0123",
        "status": status,
        "message": message,
        "compiled_code": compiled,
    }


def test_a_warning_is_told_and_is_no_failure(tmp_path: Path) -> None:
    write_results(tmp_path, result("a", "pass"), result("b", "warn", message="Got 1 result"))
    results = read_results(tmp_path)
    assert results.failed == ()
    assert explain_warnings(tmp_path, results) == ("b: Got 1 result",)


def test_what_failed_comes_before_what_was_skipped_for_it(tmp_path: Path) -> None:
    write_results(tmp_path, result("later", "skipped"), result("first", "fail"))
    assert [check.name for check in read_results(tmp_path).failed] == ["first", "later"]


def test_what_failed_in_several_places_is_told_nearest_to_its_cause(tmp_path: Path) -> None:
    several = result("of_several_tables", "fail") | {"unique_id": "test.driplab.of_several_tables"}
    model = result("a_model", "error") | {"unique_id": "model.driplab.a_model"}
    write_results(tmp_path, several, result("of_one_table", "fail"), model)
    failed = [check.name for check in read_results(tmp_path).failed]
    assert failed == ["a_model", "of_one_table", "of_several_tables"]


def test_a_failure_shows_its_rows(built_home: Path) -> None:
    (built_home / "dbt" / "ledger.duckdb").write_bytes((built_home / "ledger.duckdb").read_bytes())
    sql = "select lead_id from marts.leads where lead_id < 3 order by 1"
    write_results(
        built_home,
        result("lead_is_three", "fail", sql, "Got 2 results"),
        result("other", "error", "select nonsense"),
    )
    told = str(explain_failures(built_home, read_results(built_home)))
    assert "the check lead_is_three failed (Got 2 results)" in told
    assert "So did: other." in told
    assert "lead_id=1\n  lead_id=2\n" in told
    assert "drip refresh" in told


def test_a_warning_shows_its_rows(built_home: Path) -> None:
    (built_home / "dbt" / "ledger.duckdb").write_bytes((built_home / "ledger.duckdb").read_bytes())
    sql = "select lead_id from marts.leads where lead_id < 3 order by 1"
    write_results(built_home, result("lead_is_three", "warn", sql, "Got 2 results"))
    (told,) = explain_warnings(built_home, read_results(built_home))
    assert told.startswith("lead_is_three: Got 2 results\nFailing rows, 10 at most:\n")
    assert told.endswith("  lead_id=1\n  lead_id=2")


def test_rows_that_cannot_be_shown_do_not_hide_the_failure(built_home: Path) -> None:
    write_results(built_home, result("broken", "error", "select nonsense", "Binder Error"))
    told = str(explain_failures(built_home, read_results(built_home)))
    assert "the check broken failed (Binder Error)" in told
    assert "cannot be shown" in told


@pytest.mark.parametrize("text", [None, "{"])
def test_missing_or_cut_off_results_are_no_good_results(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "dbt" / "target").mkdir(parents=True)
        (tmp_path / "dbt" / "target" / "run_results.json").write_text(text)
    with pytest.raises(AuditFailed, match=r"no readable run_results\.json"):
        read_results(tmp_path)


def test_every_table_and_every_test_of_data_is_expected(refreshed_home: Path) -> None:
    expected = read_expected_checks(refreshed_home)
    assert "model.driplab.sends" in expected
    assert not any("stg_" in unique_id for unique_id in expected if unique_id.startswith("model"))
    assert expected <= {check.unique_id for check in read_results(refreshed_home).checks}
