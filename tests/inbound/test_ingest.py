import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inbound.ingest import IngestReport, ingest, retry_rejected
from pipeline.ledger import store
from pipeline.ledger.store import open_ledger, transaction

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
ALLOWED = ["budget", "plan"]


def line(number: int, source: str = "api", **fields: Any) -> dict[str, Any]:
    """One landing line, received so many seconds after noon."""
    received = NOW + timedelta(seconds=number)
    return {
        "id": f"{number:032x}",
        "received_at": f"{received:%Y-%m-%dT%H:%M:%S.%fZ}",
        "source": source,
        **fields,
    }


def instant(seconds: float) -> str:
    return f"{NOW + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%fZ}"


class Workspace:
    """A ledger held open, and hands to land lines and take them in."""

    def __init__(self, con: duckdb.DuckDBPyConnection, home: Path) -> None:
        self.con, self.home, self.segment = con, home, 0

    def land(self, *lines: dict[str, Any] | str, end: str = "\n", writer: str = "inbound") -> Path:
        self.segment += 1
        path = self.home / "landing" / f"{writer}-20261102T120000-{self.segment:08x}.jsonl"
        texts = [text if isinstance(text, str) else json.dumps(text) for text in lines]
        path.write_text("\n".join(texts) + end)
        return path

    def ingest(self, **options: Any) -> IngestReport:
        with transaction(self.con):
            return ingest(self.con, self.home, now=NOW, attributes=ALLOWED, **options)

    def take(self, *lines: dict[str, Any] | str) -> IngestReport:
        self.land(*lines)
        return self.ingest()

    def retry(self) -> IngestReport:
        with transaction(self.con):
            return retry_rejected(self.con, now=NOW, attributes=ALLOWED)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.con.execute(query).fetchall()

    def reasons(self) -> list[str]:
        return [
            reason
            for (reason,) in self.rows(
                "select reason from rejected where resolved_at is null order by rejected_id"
            )
        ]

    def add_send(self, send_id: int, lead_id: int, channel: str = "email") -> None:
        """A live send of step 2, handed over a minute before noon."""
        before = NOW - timedelta(minutes=1)
        self.con.execute(
            "insert into sends "
            "values (?, ?, ?, 1, 2, null, ?, 's', ?, ?, 'UTC', '2026-11-02', 'live', null)",
            [send_id, send_id * 10, lead_id, channel, before, before],
        )
        self.con.execute(
            "insert into send_outcomes values (?, ?, 'handed_over', null, 1, ?, null)",
            [send_id, before, f"provider-{send_id}"],
        )

    def add_lead(self, lead_id: int, email: str | None, phone: str | None = None) -> None:
        long_ago = NOW - timedelta(days=1)
        self.con.execute(
            "insert into leads values (?, ?, 'META', null, null, '{}', 'live', ?, 0)",
            [lead_id, long_ago, long_ago],
        )
        self.con.execute(
            "insert into identities values (?, ?, ?, null, null, null, '{}')",
            [lead_id, email, phone],
        )


@pytest.fixture
def ws(home: Path) -> Iterator[Workspace]:
    with open_ledger(home) as con:
        yield Workspace(con, home)


def test_a_lead_becomes_a_row_and_its_personal_data_stands_apart(ws: Workspace) -> None:
    report = ws.take(
        line(
            1,
            leads=[
                {
                    "email": " Ann@Example.com ",
                    "phone": "0044 20 7946-0018",
                    "first_name": "Ann",
                    "external_id": 17,
                    "source": "META",
                    "country": "gb",
                    "timezone": "Europe/London",
                    "created_at": "2026-11-01T10:00:00+01:00",
                    "attributes": {"budget": 5, "secret": "x", "plan": None},
                    "details": {"note": "call me"},
                }
            ],
        )
    )
    assert (report.count_lines, report.count_leads, report.count_rejected) == (1, 1, 0)
    assert ws.rows(
        "select source, country, timezone, attributes, origin, change_no from leads"
    ) == [("META", "GB", "Europe/London", '{"budget":5}', "live", 1)]
    assert ws.rows("select created_at from leads") == [(datetime(2026, 11, 1, 9, tzinfo=UTC),)]
    assert ws.rows("select * exclude (lead_id) from identities") == [
        ("ann@example.com", "+442079460018", "Ann", None, "17", '{"note":"call me"}')
    ]
    ((lead_id,),) = ws.rows("select lead_id from leads")
    assert 0 < lead_id < 2**53


def test_what_is_no_phone_country_or_zone_is_kept_as_text_beside_the_identity(
    ws: Workspace,
) -> None:
    ws.take(
        line(
            1,
            leads=[
                {"email": "a@x.com", "phone": "555", "country": "Utopia", "timezone": "Mars/Base"}
            ],
        )
    )
    assert ws.rows("select country, timezone from leads") == [(None, None)]
    ((details,),) = ws.rows("select details from identities")
    assert json.loads(details) == {
        "phone_as_received": "555",
        "country_as_received": "UTOPIA",
        "timezone_as_received": "Mars/Base",
    }


def test_several_lines_of_one_lead_in_one_batch_are_one_lead(ws: Workspace) -> None:
    report = ws.take(
        line(1, leads=[{"phone": "+15551234567", "first_name": "Ann"}]),
        line(2, leads=[{"email": "a@x.com", "phone": "+1 555 123 4567", "last_name": "Lee"}]),
        line(3, leads=[{"email": "a@x.com", "external_id": "7", "attributes": {"budget": 1}}]),
        line(4, leads=[{"external_id": "7", "attributes": {"budget": 2, "plan": "b"}}]),
    )
    assert report.count_leads == 1
    assert ws.rows("select * exclude (lead_id, details) from identities") == [
        ("a@x.com", "+15551234567", "Ann", "Lee", "7")
    ]
    ((attributes,),) = ws.rows("select attributes from leads")
    assert json.loads(attributes) == {"budget": 2, "plan": "b"}


def test_two_addresses_with_one_phone_are_two_leads_and_the_phone_alone_means_the_first(
    ws: Workspace,
) -> None:
    ws.take(
        line(1, leads=[{"email": "a@x.com", "phone": "+15551234567"}]),
        line(2, leads=[{"email": "b@x.com", "phone": "+15551234567"}]),
        line(3, leads=[{"phone": "+15551234567", "first_name": "Ann"}]),
    )
    assert ws.rows("select email, first_name from identities order by email") == [
        ("a@x.com", "Ann"),
        ("b@x.com", None),
    ]


def test_a_lead_without_address_takes_the_first_address_that_comes_with_its_phone(
    ws: Workspace,
) -> None:
    ws.take(line(1, leads=[{"phone": "+15551234567"}]))
    ws.take(
        line(2, leads=[{"email": "a@x.com", "phone": "+15551234567"}]),
        line(3, leads=[{"email": "b@x.com", "phone": "+15551234567"}]),
    )
    assert ws.rows(
        "select i.email, l.created_at from identities as i join leads as l using (lead_id) "
        "order by email"
    ) == [
        ("a@x.com", NOW + timedelta(seconds=1)),
        ("b@x.com", NOW + timedelta(seconds=3)),
    ]


def test_an_external_id_is_a_key_within_its_source_only(ws: Workspace) -> None:
    ws.take(line(1, leads=[{"external_id": "7", "source": "crm"}]))
    ws.take(
        line(2, leads=[{"external_id": "7", "source": "crm", "first_name": "Ann"}]),
        line(3, leads=[{"external_id": "7", "source": "shop", "first_name": "Bob"}]),
    )
    assert ws.rows(
        "select l.source, i.first_name from identities as i join leads as l using (lead_id) "
        "order by all"
    ) == [("crm", "Ann"), ("shop", "Bob")]


def test_a_key_of_another_source_is_remembered_with_that_source(ws: Workspace) -> None:
    ws.take(line(1, leads=[{"email": "a@x.com", "source": "META"}]))
    ws.take(line(2, leads=[{"email": "a@x.com", "external_id": "9", "source": "crm"}]))
    report = ws.take(line(3, leads=[{"external_id": "9", "source": "crm", "first_name": "Ann"}]))
    assert report.count_leads == 0
    assert ws.rows("select email, external_id, first_name from identities") == [
        ("a@x.com", "9", "Ann")
    ]


def test_two_known_leads_are_never_merged_but_named(ws: Workspace) -> None:
    ws.add_lead(1, "a@x.com")
    ws.add_lead(2, None, "+15551234567")
    report = ws.take(line(1, leads=[{"email": "a@x.com", "phone": "+15551234567"}]))
    assert report.count_rejected == 1
    assert ws.reasons() == [
        "Its keys belong to several leads: taken as lead 1. If they are one person, run "
        "`drip merge-leads 1 2`."
    ]
    assert ws.rows("select lead_id, phone from identities order by 1") == [
        (1, "+15551234567"),
        (2, "+15551234567"),
    ]


def test_a_change_moves_the_change_number_and_a_repetition_does_not(ws: Workspace) -> None:
    first = line(1, leads=[{"email": "a@x.com", "attributes": {"budget": 1}}])
    ws.take(first)
    again = ws.take(first, line(2, leads=[{"email": "a@x.com", "attributes": {"budget": 1}}]))
    assert (again.count_leads, again.count_leads_changed) == (0, 0)
    ((unchanged,),) = ws.rows("select change_no from leads")
    changed = ws.take(line(3, leads=[{"email": "a@x.com", "attributes": {"budget": 2}}]))
    assert changed.count_leads_changed == 1
    ((moved,),) = ws.rows("select change_no from leads")
    assert moved > unchanged


def test_an_older_line_that_comes_late_only_fills_gaps(ws: Workspace) -> None:
    ws.take(line(9, leads=[{"email": "a@x.com", "first_name": "New"}]))
    ws.take(line(1, leads=[{"email": "a@x.com", "first_name": "Old", "last_name": "Lee"}]))
    assert ws.rows("select first_name, last_name from identities") == [("New", "Lee")]
    assert ws.rows("select created_at from leads") == [(NOW + timedelta(seconds=1),)]


@pytest.mark.parametrize(
    ("lead", "words"),
    [
        pytest.param({"first_name": "Ann"}, "no usable key", id="no key"),
        pytest.param({"email": "not an address"}, "no usable key", id="no address"),
        pytest.param({"email": "a@x.com", "created_at": "2026-02-30"}, "created_at", id="no date"),
        pytest.param({"email": "a@x.com", "created_at": "2027-01-01"}, "created_at", id="future"),
        pytest.param(7, "not a JSON object", id="no object"),
    ],
)
def test_a_lead_that_cannot_be_is_rejected_with_its_reason(
    ws: Workspace, lead: object, words: str
) -> None:
    report = ws.take(line(1, leads=[lead, {"email": "good@x.com"}]))
    assert (report.count_leads, report.count_rejected) == (1, 1)
    (reason,) = ws.reasons()
    assert words in reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param('{"id": "1", "received', "not a JSON object", id="torn"),
        pytest.param("[1, 2]", "not a JSON object", id="list"),
        pytest.param(
            '{"received_at": "2026-11-02T12:00:00Z", "source": "api"}', '"id"', id="no id"
        ),
        pytest.param(
            '{"id": "1", "received_at": "2026-02-30T12:00:00Z", "source": "api"}',
            '"received_at"',
            id="impossible date",
        ),
        pytest.param(
            '{"id": "1", "received_at": "2026-11-02T12:00:00Z"}', '"source"', id="no source"
        ),
        pytest.param(
            '{"id": "1", "received_at": "2026-11-02T12:00:00Z", "source": "api", "leads": {}}',
            "must be lists",
            id="leads no list",
        ),
        pytest.param(
            json.dumps(line(1, source="webhook:x", raw="<xml>", error="no rule fits")),
            "could not be mapped: no rule fits",
            id="unmapped",
        ),
    ],
)
def test_a_bad_line_is_kept_with_its_reason_and_the_others_go_in(
    ws: Workspace, text: str, words: str
) -> None:
    report = ws.take(text, line(2, leads=[{"email": "good@x.com"}]))
    assert (report.count_leads, report.count_rejected) == (1, 1)
    ((reason, raw),) = ws.rows("select reason, raw from rejected")
    assert words in reason
    assert raw == text


def test_bytes_that_are_no_utf8_spoil_their_own_line_only(ws: Workspace) -> None:
    path = ws.land(line(1, leads=[{"email": "a@x.com"}]))
    with path.open("ab") as file:
        file.write(b"\xff\xfe\x00 {\n" + json.dumps(line(2, leads=[{"email": "b@x.com"}])).encode())
        file.write(b"\r\n\n")
    report = ws.ingest()
    assert (report.count_leads, report.count_rejected) == (2, 1)


def test_a_torn_last_line_waits_for_its_end(ws: Workspace) -> None:
    text = json.dumps(line(2, leads=[{"email": "b@x.com"}]))
    path = ws.land(line(1, leads=[{"email": "a@x.com"}]), text[:30], end="")
    assert ws.ingest().count_leads == 1
    assert ws.ingest() == IngestReport()
    with path.open("a") as file:
        file.write(text[30:] + "\n")
    assert ws.ingest().count_leads == 1
    assert ws.rows("select ingested_bytes from segments") == [(path.stat().st_size,)]


def test_a_deleted_segment_is_no_matter(ws: Workspace) -> None:
    ws.land(line(1, leads=[{"email": "a@x.com"}])).unlink()
    ws.take(line(2, leads=[{"email": "b@x.com"}]))
    for path in (ws.home / "landing").iterdir():
        path.unlink()
    assert ws.ingest() == IngestReport()


def test_the_journal_is_not_read_here(ws: Workspace) -> None:
    ws.land('{"begin": 1, "attempt": 1, "at": "2026-11-02T12:00:00Z"}', writer="journal")
    assert ws.ingest() == IngestReport()
    assert ws.rows("from segments") == []


def test_much_is_taken_in_pieces(ws: Workspace) -> None:
    for batch in range(3):
        ws.land(*(line(batch * 10 + n, leads=[{"external_id": f"{batch}-{n}"}]) for n in range(5)))
    report, total, rounds = ws.ingest(max_bytes=300), 0, 1
    while report.has_more:
        total += report.count_leads
        report, rounds = ws.ingest(max_bytes=300), rounds + 1
    assert total + report.count_leads == 15
    assert rounds > 3
    assert ws.rows("select count(*) from leads") == [(15,)]


def test_what_is_rolled_back_is_read_again(ws: Workspace) -> None:
    ws.land(line(1, leads=[{"email": "a@x.com"}], events=[{"kind": "replied", "email": "a@x.com"}]))

    def die_before_commit() -> None:
        with transaction(ws.con):
            ingest(ws.con, ws.home, now=NOW, attributes=ALLOWED)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        die_before_commit()
    assert ws.rows("from segments") == []
    assert ws.rows("from leads") == []
    report = ws.ingest()
    assert (report.count_leads, report.count_events) == (1, 1)


def test_an_event_finds_its_message_by_id_by_our_own_form_or_by_the_providers_id(
    ws: Workspace,
) -> None:
    ws.add_lead(1, "a@x.com")
    ws.add_send(5, 1)
    ws.take(
        line(
            1,
            source="webhook:x",
            events=[
                {"kind": "delivered", "send_id": 5},
                {"kind": "replied", "message_id": "<5.abcdef@mail.example.com>"},
                {"kind": "deferred", "message_id": "provider-5", "email": "other@x.com"},
                {"kind": "accepted", "send_id": 99, "message_id": "provider-5"},
            ],
        )
    )
    assert ws.reasons() == []
    assert ws.rows("select distinct lead_id, send_id, enrollment_id, step_ix from events") == [
        (1, 5, 50, 2)
    ]
    assert ws.rows("select count(*) from events") == [(4,)]


def test_an_event_finds_its_lead_by_address_key_or_phone(ws: Workspace) -> None:
    ws.take(
        line(1, leads=[{"email": "a@x.com", "phone": "+15551234567", "external_id": "7"}]),
    )
    ws.take(
        line(
            2,
            source="webhook:x",
            events=[
                {"kind": "custom", "name": "demo", "email": "A@X.com"},
                {"kind": "custom", "name": "demo", "external_id": "7"},
                {"kind": "custom", "name": "demo", "phone": "1 (555) 123-4567"},
            ],
        )
    )
    assert ws.rows("select count(*), count(distinct lead_id) from events") == [(3, 1)]


def test_a_key_that_several_sources_use_needs_its_own_source(ws: Workspace) -> None:
    ws.take(
        line(1, leads=[{"external_id": "7", "source": "crm", "first_name": "Ann"}]),
        line(2, leads=[{"external_id": "7", "source": "shop"}]),
    )
    event = {"kind": "custom", "name": "demo", "external_id": "7"}
    ws.take(line(3, source="webhook:crm", events=[event]), line(4, events=[event]))
    assert ws.rows("select i.first_name from events join identities as i using (lead_id)") == [
        ("Ann",)
    ]
    (reason,) = ws.reasons()
    assert "several leads" in reason


def test_a_conversion_keeps_money_exactly(ws: Workspace) -> None:
    ws.take(
        line(
            1,
            leads=[{"email": "a@x.com"}],
            events=[
                {
                    "kind": "converted",
                    "name": "sale",
                    "value": "1234567890.1234",
                    "currency": "eur",
                    "email": "a@x.com",
                    "occurred_at": "2026-11-02T11:00:00Z",
                }
            ],
        )
    )
    assert ws.rows("select name, value, currency, occurred_at from events") == [
        ("sale", Decimal("1234567890.1234"), "EUR", NOW - timedelta(hours=1))
    ]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        pytest.param({"kind": "open"}, 'kind "open" is unknown', id="kind"),
        pytest.param({}, 'no "kind"', id="no kind"),
        pytest.param({"kind": "converted"}, 'needs a "name"', id="no goal"),
        pytest.param({"kind": "replied", "occurred_at": "2026-02-30"}, "occurred_at", id="date"),
        pytest.param({"kind": "replied", "occurred_at": "2026-11-04"}, "a day after", id="future"),
        pytest.param({"kind": "replied", "occurred_at": "1970-01-01"}, "before 1990", id="epoch"),
        pytest.param({"kind": "replied", "occurred_at": "infinity"}, "a day after", id="infinity"),
        pytest.param(
            {"kind": "converted", "name": "sale", "value": "12,50", "currency": "USD"},
            "amount of money",
            id="money",
        ),
        pytest.param(
            {"kind": "converted", "name": "sale", "value": "12.50"}, "currency", id="no currency"
        ),
        pytest.param(
            {"kind": "converted", "name": "sale", "value": 1, "currency": "$"}, "4217", id="dollar"
        ),
        pytest.param({"kind": "replied", "email": None}, "names no lead", id="nobody"),
        pytest.param({"kind": "replied", "email": "who@x.com"}, "not known (yet)", id="unknown"),
    ],
)
def test_an_event_that_cannot_be_is_rejected_with_its_reason(
    ws: Workspace, event: dict[str, Any], words: str
) -> None:
    ws.add_lead(1, "a@x.com")
    good = {"kind": "replied", "email": "a@x.com"}
    report = ws.take(line(1, events=[{"email": "a@x.com"} | event, good]))
    assert (report.count_events, report.count_rejected) == (1, 1)
    (reason,) = ws.reasons()
    assert words in reason


def test_a_rejected_event_goes_in_once_its_lead_is_known(ws: Workspace) -> None:
    ws.take(line(1, events=[{"kind": "replied", "email": "a@x.com"}]), "broken {")
    assert ws.retry().count_resolved == 0
    ws.take(line(2, leads=[{"email": "a@x.com"}]))
    report = ws.retry()
    assert (report.count_events, report.count_resolved) == (1, 1)
    assert ws.rows("select count(*) from new_events") == [(1,)]
    assert len(ws.reasons()) == 1
    assert ws.retry().count_resolved == 0
    assert ws.rows("select count(*) from events") == [(1,)]


def test_the_same_event_twice_is_one_event_and_keys_belong_to_their_source(ws: Workspace) -> None:
    ws.add_lead(1, "a@x.com")
    event = {"kind": "replied", "email": "a@x.com", "key": "e1"}
    report = ws.take(
        line(1, source="webhook:x", events=[event, event]),
        line(2, source="webhook:y", events=[event]),
    )
    assert (report.count_events, report.count_duplicates) == (2, 1)
    report = ws.take(line(3, source="webhook:x", events=[event]))
    assert (report.count_events, report.count_duplicates) == (0, 1)
    assert ws.rows("from new_events") == []


def test_new_events_are_the_live_ones_of_this_ingest(ws: Workspace) -> None:
    ws.add_lead(1, "a@x.com")
    ws.take(line(1, events=[{"kind": "replied", "email": "a@x.com"}]))
    ws.take(
        line(2, events=[{"kind": "meeting_booked", "email": "a@x.com"}]),
        line(3, source="import:old", events=[{"kind": "replied", "email": "a@x.com"}]),
    )
    assert ws.rows("select kind, origin from new_events") == [("meeting_booked", "live")]
    assert ws.rows("select column_name from (describe new_events)") == ws.rows(
        "select column_name from (describe events)"
    )
    ws.ingest()
    assert ws.rows("from new_events") == []


@pytest.mark.parametrize(
    ("event", "suppression"),
    [
        ({"kind": "unsubscribed", "send_id": 5}, ("sms", "unsubscribed")),
        ({"kind": "unsubscribed", "email": "a@x.com"}, ("email", "unsubscribed")),
        ({"kind": "unsubscribed", "phone": "+15551234567"}, ("sms", "unsubscribed")),
        ({"kind": "complained", "email": "a@x.com"}, ("email", "complained")),
        ({"kind": "bounced", "send_id": 5}, ("sms", "bounced")),
    ],
)
def test_who_does_not_want_or_cannot_is_suppressed_on_that_channel(
    ws: Workspace, event: dict[str, Any], suppression: tuple[str, str]
) -> None:
    ws.add_lead(1, "a@x.com", "+15551234567")
    ws.add_send(5, 1, "sms")
    landed = line(1, events=[event])
    ws.take(landed)
    ws.take(landed)
    assert ws.rows("select lead_id, channel, reason, sequence_id, lifted_at from suppressions") == [
        (1, *suppression, None, None)
    ]


def test_stop_holds_for_the_number_whoever_has_it(ws: Workspace) -> None:
    ws.add_lead(1, "a@x.com", "+15551234567")
    ws.add_lead(2, "b@x.com", "+15551234567")
    ws.take(line(1, events=[{"kind": "unsubscribed", "phone": "+15551234567"}]))
    assert ws.rows("select lead_id, channel from suppressions order by 1") == [
        (1, "sms"),
        (2, "sms"),
    ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_subscribing_again_lifts_the_unsubscribes_before_it_and_nothing_else(
    ws: Workspace, order: tuple[int, ...]
) -> None:
    ws.add_lead(1, "a@x.com")
    lines = [
        line(
            1, events=[{"kind": kind, "email": "a@x.com"} for kind in ("unsubscribed", "bounced")]
        ),
        line(2, events=[{"kind": "subscribed", "email": "a@x.com"}]),
        line(3, events=[{"kind": "unsubscribed", "email": "a@x.com"}]),
    ]
    for number in order:
        ws.take(lines[number])
    lifted = NOW + timedelta(seconds=2)
    assert ws.rows("select reason, lifted_at from suppressions order by created_at, reason") == [
        ("bounced", None),
        ("unsubscribed", lifted),
        ("unsubscribed", None),
    ]


def test_human_opens_and_clicks_wait_for_the_burst_around_them(ws: Workspace) -> None:
    ws.add_lead(1, "a@x.com")
    ws.add_send(5, 1)
    agent = "Mozilla/5.0 (iPhone)"
    opened = {"kind": "opened", "send_id": 5, "agent": agent}
    ws.take(
        line(1, source="tracker", events=[opened]),
        line(2, source="tracker", events=[opened | {"agent": "python-requests/2.32"}]),
        line(
            3, source="webhook:x", events=[{"kind": "opened", "email": "a@x.com", "agent": agent}]
        ),
    )
    assert ws.rows("select verdict from events order by received_at") == [
        ("human",),
        ("machine",),
        ("human",),
    ]
    assert ws.rows("select enrollment_id, step_ix, kind, received_at from engagement_pending") == [
        (50, 2, "opened", NOW + timedelta(seconds=1)),
        (None, None, "opened", NOW + timedelta(seconds=3)),
    ]


def test_a_burst_in_two_pieces_is_judged_whole(ws: Workspace) -> None:
    ws.add_lead(1, "a@x.com")
    ws.add_send(5, 1)

    def click(seconds: float, url: str) -> dict[str, Any]:
        return {
            "kind": "clicked",
            "send_id": 5,
            "url": url,
            "agent": "Mozilla/5.0 (X11)",
            "occurred_at": instant(seconds),
        }

    ws.take(line(1, source="tracker", events=[click(0, "a"), click(0.5, "b")]))
    assert ws.rows("select count(*) from engagement_pending") == [(2,)]
    ws.take(line(2, source="tracker", events=[click(1, "c")]))
    assert ws.rows("select distinct verdict from events") == [("machine",)]
    assert ws.rows("from engagement_pending") == []


def imported(number: int, **fields: Any) -> dict[str, Any]:
    return line(number, source="import:old", **fields)


EXPERIMENT = {
    "experiment_id": "old_test",
    "sequence_id": "old",
    "varies": "content",
    "metric": "goal(sale)",
    "window_seconds": 86400,
    "mode": "open",
    "alpha": 0.05,
    "is_auto": False,
    "arms": [
        {"arm": "a", "role": "control", "share": 0.5},
        {"arm": "b", "role": "treatment", "share": 0.5},
    ],
}
ENROLLMENT = {
    "lead": {"external_id": "7"},
    "sequence_id": "old",
    "goal": "sale",
    "enrolled_at": "2025-01-01T00:00:00Z",
    "status": "completed",
    "ended_at": "2025-02-01T00:00:00Z",
    "end_reason": "finished",
    "is_holdout": False,
    "experiment_id": "old_test",
    "arm": "b",
}
SEND = {
    "key": "s1",
    "lead": {"external_id": "7"},
    "sequence_id": "old",
    "step_id": "hello",
    "channel": "email",
    "sender": "sales",
    "variant": "b",
    "handed_over_at": "2025-01-02T10:00:00Z",
}


def test_imported_history_becomes_facts_and_nothing_to_do(ws: Workspace) -> None:
    history = imported(
        1,
        experiments=[EXPERIMENT],
        leads=[{"external_id": "7"}],
        enrollments=[ENROLLMENT],
        sends=[SEND, SEND | {"key": "s2", "step_id": "again", "message_id": "m2"}],
        events=[
            {"kind": "opened", "message_id": "m2", "occurred_at": "2025-01-02T11:00:00Z"},
            {
                "kind": "bounced",
                "message_id": "import:old:s1",
                "occurred_at": "2025-01-02T11:00:00Z",
            },
        ],
    )
    for _ in range(2):
        ws.take(history)
    assert ws.reasons() == []
    assert ws.rows("select distinct origin from leads") == [("import",)]
    assert ws.rows("select sequence_id, goal_name, definition, origin from sequence_versions") == [
        ("old", "sale", "[]", "import")
    ]
    assert ws.rows(
        "select sequence_id, entry_no, enrolled_by, is_holdout, origin from enrollments"
    ) == [("old", 1, "import", False, "import")]
    assert ws.rows("select status, reason from enrollment_ends") == [("completed", "finished")]
    assert ws.rows("select arm, probability, reason from assignments") == [("b", 0.5, "import")]
    assert ws.rows("select arm, role, share from arms order by 1") == [
        ("a", "control", 0.5),
        ("b", "treatment", 0.5),
    ]
    assert ws.rows("select step_ix, step_id, kind from steps order by 1") == [
        (0, "again", "email"),
        (1, "hello", "email"),
    ]
    assert ws.rows("select status, message_id, origin from send_status order by message_id") == [
        ("handed_over", "import:old:s1", "import"),
        ("handed_over", "m2", "import"),
    ]
    assert ws.rows("select count(*), count(send_id), count(enrollment_id) from events") == [
        (2, 2, 2)
    ]
    # The past asks for nothing, but who bounced then is not written to now.
    assert ws.rows("from live") == ws.rows("from engagement_pending") == []
    assert ws.rows("from new_events") == []
    assert ws.rows("select channel, reason from suppressions") == [("email", "bounced")]


@pytest.mark.parametrize(
    ("part", "record", "words"),
    [
        ("enrollments", ENROLLMENT | {"enrolled_at": "2025-02-30"}, "enrolled_at"),
        ("enrollments", ENROLLMENT | {"ended_at": "2024-01-01"}, "lies before"),
        ("enrollments", ENROLLMENT | {"status": "gone"}, "completed, converted or exited"),
        ("enrollments", ENROLLMENT | {"arm": "z"}, "not known (yet)"),
        ("enrollments", ENROLLMENT | {"arm": None}, "go together"),
        ("enrollments", ENROLLMENT | {"lead": {"external_id": "8"}}, "not known (yet)"),
        ("enrollments", ENROLLMENT | {"sequence_id": None}, "sequence_id"),
        ("sends", SEND | {"key": "s2", "handed_over_at": None}, "handed_over_at"),
        ("sends", SEND | {"key": "s2", "channel": "pigeon"}, "channel"),
        ("sends", SEND | {"key": "s2", "step_id": ""}, "step_id"),
        ("sends", SEND | {"key": "s2", "sequence_id": "other"}, "No imported enrollment"),
        (
            "sends",
            SEND | {"key": "s2", "handed_over_at": "2025-03-01T00:00:00Z"},
            "No imported enrollment",
        ),
        ("sends", SEND | {"key": "s2"}, "send of this step already"),
        ("sends", SEND | {"key": "s2", "lead": {}}, "names no lead"),
        ("experiments", EXPERIMENT | {"experiment_id": None}, "experiment_id"),
        ("experiments", EXPERIMENT | {"metric": "joy"}, "metric"),
        ("experiments", EXPERIMENT | {"arms": EXPERIMENT["arms"][:1]}, "two arms"),
        (
            "experiments",
            EXPERIMENT | {"experiment_id": "x", "arms": [EXPERIMENT["arms"][0]] * 2},
            "same name",
        ),
    ],
)
def test_history_that_cannot_be_is_rejected_with_its_reason(
    ws: Workspace, part: str, record: dict[str, Any], words: str
) -> None:
    ws.take(
        imported(
            1,
            experiments=[EXPERIMENT],
            leads=[{"external_id": "7"}],
            enrollments=[ENROLLMENT],
            sends=[SEND],
        )
    )
    report = ws.take(imported(2, **{part: [record]}))
    assert report.count_rejected == 1
    (reason,) = ws.reasons()
    assert words in reason


@pytest.mark.parametrize("part", ["experiments", "enrollments", "sends"])
def test_history_comes_from_imports_only(ws: Workspace, part: str) -> None:
    record = {"experiments": EXPERIMENT, "enrollments": ENROLLMENT, "sends": SEND}[part]
    ws.take(line(1, **{part: [record]}))
    (reason,) = ws.reasons()
    assert "imports only" in reason


def test_an_enrollment_that_ended_later_gets_its_end_with_a_later_import(ws: Workspace) -> None:
    running = {"lead": {"external_id": "7"}, "sequence_id": "old", "enrolled_at": "2025-01-01"}
    ws.take(imported(1, leads=[{"external_id": "7"}], enrollments=[running]))
    assert ws.rows("from enrollment_ends") == []
    ws.take(imported(2, enrollments=[running | {"status": "converted", "ended_at": "2025-01-09"}]))
    ws.take(imported(3, enrollments=[running | {"enrolled_at": "2025-06-01"}]))
    assert ws.rows("select status from enrollment_ends") == [("converted",)]
    assert ws.rows("select entry_no from enrollments order by 1") == [(1,), (2,)]


# The law: order, repetition and the cut into segments and ticks change no fact. ----------------


def tracked(number: int, kind: str, send_id: int, **fields: Any) -> dict[str, Any]:
    event = {"kind": kind, "send_id": send_id, "agent": "Mozilla/5.0 (iPhone)"} | fields
    return line(number, source="tracker", events=[event])


LINES: list[dict[str, Any] | str] = [
    line(1, leads=[{"email": "a@x.com", "first_name": "Old", "attributes": {"budget": 1}}]),
    line(2, leads=[{"email": "a@x.com", "first_name": "New", "attributes": {"budget": 2}}]),
    line(3, leads=[{"phone": "+15551234567", "country": "US"}, {"external_id": "9"}]),
    line(4, leads=[{"phone": "+1 555 123 4567", "last_name": "Lee", "attributes": {"plan": "b"}}]),
    line(5, events=[{"kind": "converted", "name": "sale", "value": 5, "currency": "USD", "key": "k",
                     "email": "a@x.com"}]),
    line(6, events=[{"kind": "unsubscribed", "email": "a@x.com"}]),
    line(7, events=[{"kind": "subscribed", "email": "a@x.com"}]),
    line(8, events=[{"kind": "unsubscribed", "phone": "+15551234567"}]),
    line(9, events=[{"kind": "custom", "name": "demo", "external_id": "9"}, {"kind": "nope"}]),
    "broken {",
    tracked(11, "opened", 5),
    tracked(12, "clicked", 5, url="a", occurred_at=instant(20)),
    tracked(13, "clicked", 5, url="b", occurred_at=instant(20.5)),
    tracked(14, "clicked", 5, url="c", occurred_at=instant(21)),
    tracked(15, "clicked", 6, url="a", occurred_at=instant(-59)),
    tracked(16, "delivered", 6, occurred_at=instant(-58)),
    tracked(17, "bounced", 6),
]  # fmt: skip

FACTS = {
    "leads": "select i.email, i.phone, i.external_id, i.first_name, i.last_name, l.country, "
    "l.created_at, l.attributes, l.source from leads as l join identities as i using (lead_id)",
    "events": "select e.event_id, e.kind, e.name, e.occurred_at, e.value, e.send_id, e.verdict, "
    "i.email, i.phone, i.external_id from events as e join identities as i using (lead_id)",
    "suppressions": "select i.email, i.phone, s.channel, s.reason, s.created_at, s.lifted_at "
    "from suppressions as s join identities as i using (lead_id)",
    "pending": "select event_id, enrollment_id, step_ix, kind from engagement_pending",
    "rejected": "select reason, raw from rejected where resolved_at is null",
}


def facts_after(ticks: list[list[list[int]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Take in the lines: ticks of segments of numbers of lines."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        schema = Path(store.__file__).with_name("schema.sql").read_text()
        for statement in duckdb.extract_statements(schema):
            con.execute(statement)
        con.execute("insert into meta values ('id_salt', 'salt')")
        workspace = Workspace(con, Path(folder))
        (workspace.home / "landing").mkdir()
        workspace.add_lead(1, "sent@x.com")
        workspace.add_send(5, 1)
        workspace.add_send(6, 1)
        for segments in ticks:
            for numbers in segments:
                workspace.land(*(LINES[number] for number in numbers))
            workspace.ingest()
        workspace.retry()
        return {
            name: con.execute(f"{query} order by all").fetchall() for name, query in FACTS.items()
        }


@st.composite
def histories(draw: st.DrawFn) -> list[list[list[int]]]:
    everything = list(range(len(LINES)))
    extra = draw(st.lists(st.sampled_from(everything), max_size=6))
    order = draw(st.permutations(everything + extra))
    cuts = sorted(draw(st.lists(st.integers(1, len(order) - 1), max_size=5, unique=True)))
    segments = [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    starts = [0, *(n for n in range(1, len(segments)) if draw(st.booleans())), len(segments)]
    return [segments[a:b] for a, b in pairwise(starts)]


@pytest.fixture(scope="module")
def facts_in_order() -> dict[str, list[tuple[Any, ...]]]:
    return facts_after([[list(range(len(LINES)))]])


def test_the_lines_of_the_law_make_the_facts_they_should(
    facts_in_order: dict[str, list[tuple[Any, ...]]],
) -> None:
    assert {name: len(rows) for name, rows in facts_in_order.items()} == {
        "leads": 4,
        "events": 12,
        "suppressions": 3,
        "pending": 1,
        "rejected": 2,
    }
    verdicts = [(row[1], row[5], row[6]) for row in facts_in_order["events"] if row[5]]
    assert sorted(verdicts) == [
        ("bounced", 6, "human"),
        ("clicked", 5, "machine"),
        ("clicked", 5, "machine"),
        ("clicked", 5, "machine"),
        ("clicked", 6, "uncertain"),
        ("delivered", 6, "human"),
        ("opened", 5, "human"),
    ]


@settings(max_examples=12)
@given(history=histories())
def test_order_repetition_and_the_cut_into_ticks_change_no_fact(
    facts_in_order: dict[str, list[tuple[Any, ...]]], history: list[list[list[int]]]
) -> None:
    assert facts_after(history) == facts_in_order
