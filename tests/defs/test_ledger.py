from collections.abc import Callable

import dagster as dg
import pytest

from pipeline.defs.automation import read_last_tick
from pipeline.defs.ledger import SENDS, ledger_tables
from pipeline.ledger.locks import hold_lock
from pipeline.settings import DripError, Settings


def tick(
    instance: dg.DagsterInstance, settings: Settings, clock: Callable[..., object]
) -> dg.ExecuteInProcessResult:
    resources = {"settings": settings, "clock": clock}
    return dg.materialize([ledger_tables], instance=instance, resources=resources)


def test_a_tick_shows_how_many_rows_each_table_has_and_what_was_done(
    settings: Settings, clock: Callable[..., object]
) -> None:
    shown = {one.asset_key.path[-1]: one.metadata for one in ledger_tables(settings, clock)}
    rows = {name: metadata["dagster/row_count"] for name, metadata in shown.items()}
    assert rows == {"leads": 1, "events": 0, "enrollments": 1, "sends": 1}
    assert shown["sends"]["handed_over"] == 1
    assert shown["sends"]["ticks"] == 1
    assert len(list(settings.home.glob("maildir/*/new/*"))) == 1


def test_a_second_tick_sends_nothing_again_and_says_when_something_is_due(
    instance: dg.DagsterInstance, settings: Settings, clock: Callable[..., object]
) -> None:
    assert tick(instance, settings, clock).success
    assert tick(instance, settings, clock).success
    event = instance.get_latest_materialization_event(SENDS)
    assert event is not None
    assert event.asset_materialization is not None
    assert "handed_over" not in event.asset_materialization.metadata
    last = read_last_tick(instance)
    assert last is not None
    assert last.ask_again_at is not None
    assert 47 < (last.ask_again_at - last.finished_at).total_seconds() / 3600 <= 48
    assert len(list(settings.home.glob("maildir/*/new/*"))) == 1


def test_beside_another_dispatcher_a_tick_hands_over_nothing(
    settings: Settings, clock: Callable[..., object]
) -> None:
    with hold_lock(settings.home / "dispatch.lock"):
        shown = {one.asset_key.path[-1]: one.metadata for one in ledger_tables(settings, clock)}
    assert "handed_over" not in shown["sends"]
    assert list(settings.home.glob("maildir/*/new/*")) == []


def test_a_broken_file_fails_the_run_with_the_words_that_drip_check_has(
    settings: Settings, clock: Callable[..., object]
) -> None:
    (settings.sequences / "welcome.yml").write_text("status: sometimes\n")
    with pytest.raises(DripError, match=r"welcome\.yml"):
        list(ledger_tables(settings, clock))
