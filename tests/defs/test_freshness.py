import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import dagster as dg
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.defs.freshness import LATE, PUBLISHED, STALE, judge_age, published_freshness_sensor
from pipeline.settings import Settings


class Listener:
    """A chat's incoming webhook: keeps what it is told, and can be out of order."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.status = 200
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(listener.status)
                self.end_headers()
                if listener.status == 200:
                    listener.told.append(json.loads(body))

            def log_message(self, *_: Any) -> None:
                """Stay silent."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    thread = Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def watch(
    instance: dg.DagsterInstance, settings: Settings, clock: Any, listener: Listener
) -> Callable[..., str]:
    """One evaluation of the sensor after so many minutes; its cursor is kept as Dagster keeps it."""
    cursor: list[str | None] = [None]

    def evaluate(minutes: float = 0, *, url: str | None = None) -> str:
        clock.sleep(minutes * 60)
        to = settings.model_copy(update={"alert_url": listener.url if url is None else url})
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor[0], resources={"settings": to, "clock": clock}
        )
        found = published_freshness_sensor(context)
        cursor[0] = context.cursor
        assert isinstance(found, dg.SkipReason)
        return str(found.skip_message)

    return evaluate


def publish(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(PUBLISHED))


@given(st.integers(0, 7200), st.integers(0, 7200))
def test_older_numbers_are_never_fresher(one: int, other: int) -> None:
    order = ["fresh", "late", "stale"]
    younger, older = sorted([timedelta(seconds=one), timedelta(seconds=other)])
    assert order.index(judge_age(younger)) <= order.index(judge_age(older))
    assert judge_age(LATE) == "late"
    assert judge_age(STALE) == "stale"


def test_each_change_is_told_once(
    instance: dg.DagsterInstance, watch: Callable[..., str], listener: Listener
) -> None:
    assert "Nothing is published" in watch()
    publish(instance)
    watch()
    watch(29)
    assert listener.told == []
    watch(2)
    watch(1)
    watch(40)
    watch(1)
    assert [message["state"] for message in listener.told] == ["late", "stale"]
    assert listener.told[0]["age_minutes"] == 31
    assert "No refresh has failed" in listener.told[0]["text"]


def test_numbers_that_are_fresh_again_are_told_too(
    instance: dg.DagsterInstance, watch: Callable[..., str], listener: Listener, clock: Any
) -> None:
    publish(instance)
    watch(45)
    clock.offset = timedelta()  # what is published next is of this moment
    publish(instance)
    watch()
    assert [message["state"] for message in listener.told] == ["late", "fresh"]


def test_the_message_names_the_refresh_that_failed(
    instance: dg.DagsterInstance, watch: Callable[..., str], listener: Listener
) -> None:
    publish(instance)
    run = instance.add_run(
        dg.DagsterRun(job_name="refresh_job", status=dg.DagsterRunStatus.FAILURE)
    )
    watch(70)
    assert run.run_id[:8] in listener.told[0]["text"]
    assert listener.told[0]["state"] == "stale"


def test_what_could_not_be_told_is_told_later(
    instance: dg.DagsterInstance, watch: Callable[..., str], listener: Listener
) -> None:
    publish(instance)
    listener.status = 503
    with pytest.raises(httpx.HTTPStatusError):
        watch(45)
    listener.status = 200
    watch(1)
    assert [message["state"] for message in listener.told] == ["late"]


def test_without_an_address_the_sensor_says_what_is_missing_and_tells_once_there_is_one(
    instance: dg.DagsterInstance, watch: Callable[..., str], listener: Listener
) -> None:
    publish(instance)
    assert "DRIP_ALERT_URL is not set" in watch(45, url="")
    watch(1)
    watch(1)
    assert [message["state"] for message in listener.told] == ["late"]
