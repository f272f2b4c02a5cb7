import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from pipeline.warehouse.audit import audit_warehouse
from pipeline.warehouse.results import AuditFailed

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


def change(home: Path, sql: str) -> None:
    with duckdb.connect(str(home / "warehouse.next.duckdb")) as con:
        con.execute(sql)


def test_a_good_file_is_read_whole_and_marked(built_home: Path, refresh_id: str) -> None:
    report = audit_warehouse(built_home, refresh_id, NOW)
    assert report.rows["marts.leads"] == 9
    assert report.rows["analysis.experiment_decisions"] == 2
    assert report.count_checks > 40
    # One conversion in euros, for which there is no rate.
    assert len(report.warnings) == 1
    assert "int_conversions" in report.warnings[0]


def test_a_file_of_another_refresh_is_refused(built_home: Path) -> None:
    with pytest.raises(AuditFailed, match="another one ran in between"):
        audit_warehouse(built_home, "other", NOW)


def test_results_of_another_run_of_dbt_are_refused(built_home: Path, refresh_id: str) -> None:
    change(built_home, "update meta.refresh set invocation_id = 'other'")
    with pytest.raises(AuditFailed, match="another one ran in between"):
        audit_warehouse(built_home, refresh_id, NOW)


def test_a_run_that_left_tests_out_is_refused(built_home: Path, refresh_id: str) -> None:
    path = built_home / "dbt" / "target" / "run_results.json"
    data = json.loads(path.read_text())
    data["results"] = [r for r in data["results"] if "unique_leads" not in r["unique_id"]]
    path.write_text(json.dumps(data))
    with pytest.raises(AuditFailed, match="dbt did not run unique_leads_lead_id"):
        audit_warehouse(built_home, refresh_id, NOW)


def test_a_failed_check_is_refused_whoever_ran_dbt(built_home: Path, refresh_id: str) -> None:
    path = built_home / "dbt" / "target" / "run_results.json"
    data = json.loads(path.read_text())
    next(r for r in data["results"] if "unique_leads" in r["unique_id"])["status"] = "fail"
    path.write_text(json.dumps(data))
    with pytest.raises(AuditFailed, match="the check unique_leads_lead_id failed"):
        audit_warehouse(built_home, refresh_id, NOW)


def test_a_view_that_leans_on_the_ledger_is_found(built_home: Path, refresh_id: str) -> None:
    with duckdb.connect(str(built_home / "warehouse.next.duckdb")) as con:
        con.execute(f"attach '{built_home / 'ledger.duckdb'}' as ledger (read_only)")
        con.execute("create view marts.leaning as select * from ledger.main.leads")
    with pytest.raises(AuditFailed, match=r"marts\.leaning cannot be read without the ledger"):
        audit_warehouse(built_home, refresh_id, NOW)


def test_a_mart_that_lost_a_row_is_found(built_home: Path, refresh_id: str) -> None:
    change(built_home, "delete from marts.sends where send_id = 1")
    with pytest.raises(AuditFailed, match="sends: 6 for 7"):
        audit_warehouse(built_home, refresh_id, NOW)


def test_without_a_file_there_is_nothing_to_audit(tmp_path: Path) -> None:
    with pytest.raises(AuditFailed, match="does not exist"):
        audit_warehouse(tmp_path, "r1", NOW)


def test_a_file_that_does_not_say_what_its_metrics_mean_is_refused(
    built_home: Path, refresh_id: str
) -> None:
    change(built_home, "delete from meta.definitions")
    with pytest.raises(AuditFailed, match="what its metrics mean"):
        audit_warehouse(built_home, refresh_id, NOW)
