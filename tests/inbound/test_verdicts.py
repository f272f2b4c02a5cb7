from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

from pipeline.inbound.verdicts import judge_features, verdict_sql

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
READER = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            "create temp table features (event_id bigint, unit_id bigint, kind varchar, "
            "occurred_at timestamptz, url varchar, agent varchar, source varchar, "
            "handed_over_at timestamptz, delivered_at timestamptz)"
        )
        yield connection


def event(kind: str, seconds: float, url: str | None = None, **fields: Any) -> dict[str, Any]:
    """An event of unit 1, some seconds after noon; handed over a minute before."""
    return {
        "unit_id": 1,
        "kind": kind,
        "occurred_at": NOON + timedelta(seconds=seconds),
        "url": url,
        "agent": READER,
        "source": "tracker",
        "handed_over_at": NOON - timedelta(minutes=1),
        "delivered_at": None,
    } | fields


def verdicts(con: duckdb.DuckDBPyConnection, *events: dict[str, Any]) -> list[str]:
    con.execute("delete from features")
    for number, fields in enumerate(events):
        con.execute(
            "insert into features values (?, ?, ?, ?, ?, ?, ?, ?, ?)", [number, *fields.values()]
        )
    judge_features(con)
    rows = con.execute("select verdict from verdicts order by event_id").fetchall()
    return [verdict for (verdict,) in rows]


@pytest.mark.parametrize(
    ("agent", "verdict"),
    [
        pytest.param(READER, "human", id="phone"),
        pytest.param("Mozilla/5.0", "machine", id="Apple's bare name"),
        pytest.param(
            "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com "
            "GoogleImageProxy)",
            "human",
            id="Gmail's proxy when somebody reads",
        ),
        pytest.param(
            "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
            "human",
            id="Yahoo's proxy",
        ),
        pytest.param(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0",
            "machine",
            id="Gmail's pre-fetch",
        ),
        pytest.param("Barracuda Sentinel (EE)", "machine", id="scanner"),
        pytest.param("python-requests/2.32.3", "machine", id="script"),
        pytest.param("machine: sg_machine_open", "machine", id="provider's flag"),
        pytest.param("", "machine", id="empty"),
        pytest.param(None, "machine", id="none, at our own tracker"),
    ],
)
def test_the_agent_tells(con: duckdb.DuckDBPyConnection, agent: str | None, verdict: str) -> None:
    assert verdicts(con, event("opened", 0, agent=agent)) == [verdict]


def test_a_provider_that_names_no_agent_is_believed(con: duckdb.DuckDBPyConnection) -> None:
    assert verdicts(con, event("opened", 0, agent=None, source="webhook:x")) == ["human"]


def test_three_links_within_two_seconds_are_a_scanner_and_so_is_what_lies_among_them(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert verdicts(
        con,
        event("clicked", 0, "a"),
        event("clicked", 1, "b"),
        event("opened", 1.5),
        event("clicked", 2, "c"),
        event("clicked", 3.5, "a"),
        event("clicked", 600, "a"),
    ) == ["machine", "machine", "machine", "machine", "human", "human"]


def test_three_links_in_more_than_two_seconds_are_a_reader(con: duckdb.DuckDBPyConnection) -> None:
    assert set(verdicts(con, *(event("clicked", n * 1.1, str(n)) for n in range(4)))) == {"human"}


def test_one_link_called_often_is_no_scanner(con: duckdb.DuckDBPyConnection) -> None:
    assert set(verdicts(con, *(event("clicked", n / 10, "a") for n in range(5)))) == {"human"}


def test_bursts_of_different_messages_do_not_add_up(con: duckdb.DuckDBPyConnection) -> None:
    events = [event("clicked", 0, str(n)) | {"unit_id": n} for n in range(4)]
    assert set(verdicts(con, *events)) == {"human"}


def test_an_open_within_a_second_of_the_hand_over_is_a_machine(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert verdicts(con, event("opened", -59.5), event("opened", -58.5)) == ["machine", "human"]


def test_a_click_right_after_delivery_that_nobody_opened_is_uncertain(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert verdicts(con, event("clicked", 1, "a", delivered_at=NOON)) == ["uncertain"]
    assert verdicts(con, event("clicked", -58.5, "a")) == ["uncertain"]
    assert verdicts(con, event("clicked", 3, "a", delivered_at=NOON)) == ["human"]
    assert verdicts(
        con, event("opened", 0.5, delivered_at=NOON), event("clicked", 1, "a", delivered_at=NOON)
    ) == ["human", "human"]


def test_the_statement_fits_under_a_cte_over_all_history(con: duckdb.DuckDBPyConnection) -> None:
    verdicts(con, event("opened", 0), event("opened", 1, agent="Mozilla/5.0"))
    con.execute("create temp table history as select * from features")
    con.execute("drop table features")
    query = f"with features as (select * from history) select * from ({verdict_sql()}) order by 1"
    assert con.execute(query).fetchall() == [(0, "human"), (1, "machine")]
