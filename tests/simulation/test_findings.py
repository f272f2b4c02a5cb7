import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.ledger.store import create_ledger
from pipeline.settings import load_settings
from pipeline.simulation import drive
from pipeline.simulation.findings import DemoReport, Finding, write_report
from pipeline.simulation.market import Market
from pipeline.simulation.truth import Truth
from pipeline.warehouse.read import NothingPublished


def report(**given: object) -> DemoReport:
    values: dict[str, object] = {
        "leads": 1,
        "messages": 2,
        "reactions": 3,
        "ticks": 4,
        "refreshes": 1,
        "planned": 5,
        "outcomes": {"sent": 2, "postponed": 3},
        "double_sends": 0,
        "unwanted": 0,
        "findings": (Finding("subject", "course", "course", is_right=True),),
        "ended_at": drive.START,
        "seconds": {"total": 1.0},
    }
    return DemoReport(**{**values, **given})  # type: ignore[arg-type]


def test_every_planned_step_becomes_exactly_one_thing() -> None:
    assert report().is_accounted
    assert not report(planned=6).is_accounted


def test_a_report_is_plain_values() -> None:
    plain = report().as_dict()
    assert plain["is_accounted"] is True
    assert json.loads(json.dumps(plain))["ended_at"] == "2026-01-05T00:00:00+00:00"
    assert plain["findings"][0]["found"] == "course"


def test_without_a_published_warehouse_there_is_nothing_to_find(tmp_path: Path) -> None:
    home = tmp_path / "home"
    create_ledger(home)
    market = Market(Truth(), leads=1, days=1, start=drive.START, seed=1)
    settings = load_settings(home=home, sequences=home)
    with pytest.raises(NothingPublished):
        write_report(settings, market, Counter(), {}, Counter())
