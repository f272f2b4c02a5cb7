import csv
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.inbound.importers import ImportReport, import_file
from pipeline.inbound.ingest import ingest
from pipeline.ledger.store import open_ledger, transaction
from pipeline.settings import DripError

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[2] / "examples" / "import"
LEADS = "name: crm\ncolumns: {email: mail, created_at: {column: day, format: '%d.%m.%Y'}}\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def landed(home: Path) -> list[dict[str, Any]]:
    paths = sorted((home / "landing").glob("*.jsonl"))
    return [json.loads(text) for path in paths for text in path.read_text().splitlines()]


def records(home: Path, part: str) -> list[dict[str, Any]]:
    return [record for line in landed(home) for record in line.get(part, [])]


def rejects(report: ImportReport) -> list[list[str]]:
    assert report.rejects_path is not None
    with report.rejects_path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def take_in(home: Path, attributes: tuple[str, ...] = ()) -> int:
    rejected, has_more = 0, True
    with open_ledger(home) as con:
        while has_more:
            with transaction(con):
                report = ingest(con, home, now=NOW, attributes=attributes)
            rejected, has_more = rejected + report.count_rejected, report.has_more
    return rejected


def query(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with open_ledger(home, read_only=True) as con:
        return con.execute(sql).fetchall()


def test_rows_become_records_of_landing_lines(home: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "crm.csv", "mail,day\na@x.com,29.02.2024\n , \nb@x.com,\n")
    report = import_file("leads", file, write(tmp_path / "m.yml", LEADS), home, NOW)
    assert report == ImportReport(read=3, landed=3, rejected=0, rejects_path=None)
    (line,) = landed(home)
    assert line["source"] == "import:crm"
    assert line["received_at"] == "2026-11-02T12:00:00.000000Z"
    assert line["leads"] == [
        {"email": "a@x.com", "created_at": "2024-02-29T00:00:00.000000Z"},
        {},
        {"email": "b@x.com"},
    ]


def test_columns_constants_row_numbers_and_filters_make_the_fields(
    home: Path, tmp_path: Path
) -> None:
    text = (
        "name: shop\nwhere: amount >= 10 and state <> 'test'\nrow_number: external_id\n"
        "timezone: America/New_York\n"
        "columns:\n"
        "  kind: {column: state, map: {won: converted}}\n"
        "  value: amount\n"
        "  occurred_at: day\n"
        "constants: {name: sale, currency: USD}\n"
    )
    rows = (
        "state,amount,day\nwon,9.5,x\nwon,10.25,2024-07-01 12:00\ntest,99,x\n"
        "won,100,2024-07-01T12:00:00Z\n"
    )
    file = tmp_path / "deals.csv.gz"
    file.write_bytes(gzip.compress(rows.encode()))
    report = import_file("events", file, write(tmp_path / "deals.yml", text), home, NOW)
    assert (report.read, report.landed, report.rejected) == (4, 2, 0)
    common = {"kind": "converted", "name": "sale", "currency": "USD"}
    assert records(home, "events") == [
        common
        | {
            "external_id": "2",
            "key": "deals-2",
            "value": "10.2500",
            "occurred_at": "2024-07-01T16:00:00.000000Z",
        },
        common
        | {
            "external_id": "4",
            "key": "deals-4",
            "value": "100.0000",
            "occurred_at": "2024-07-01T12:00:00.000000Z",
        },
    ]


def test_attributes_keep_their_types(home: Path, tmp_path: Path) -> None:
    text = (
        "columns:\n  email: m\n  attributes.size: {column: s, type: number}\n"
        "  attributes.paid: {column: p, type: boolean}\n  details.note: n\n"
        "constants: {attributes.tier: 3}\n"
    )
    file = write(tmp_path / "a.csv", "m,s,p,n\na@x.com,2.5,Yes,hi\nb@x.com,,no,\n")
    import_file("leads", file, write(tmp_path / "m.yml", text), home, NOW)
    assert records(home, "leads") == [
        {
            "email": "a@x.com",
            "attributes": {"size": 2.5, "paid": True, "tier": 3},
            "details": {"note": "hi"},
        },
        {"email": "b@x.com", "attributes": {"paid": False, "tier": 3}, "details": {}},
    ]


def test_rows_that_cannot_be_go_to_the_rejects_and_the_others_land(
    home: Path, tmp_path: Path
) -> None:
    text = (
        "columns:\n  email: m\n  created_at: {column: d, format: '%Y-%m-%d'}\n"
        "  country: {column: c, map: {Deutschland: DE}}\n"
        "  attributes.size: {column: s, type: number}\n"
        "  attributes.paid: {column: p, type: boolean}\n"
    )
    rows = (
        "m,d,c,s,p\n"
        "a@x.com,2024-02-30,Deutschland,1,no\n"
        "b@x.com,2024-02-28,Narnia,1,no\n"
        "c@x.com,2024-02-28,,many,no\n"
        "d@x.com,2024-02-28,,1,perhaps\n"
        "e@x.com,2024-02-28\n"
        "f@x.com,2024-02-28,Deutschland,1,no\n"
    )
    file = write(tmp_path / "bad.csv", rows)
    with file.open("ab") as raw:
        raw.write("g\xe4@x.com,2024-02-28,,1,no\n".encode("latin-1"))
    report = import_file("leads", file, write(tmp_path / "m.yml", text), home, NOW)
    assert (report.read, report.landed, report.rejected) == (7, 1, 6)
    header, *found = rejects(report)
    assert header == ["row", "reason", "m", "d", "c", "s", "p"]
    assert [row[0] for row in found] == ["1", "2", "3", "4", "5", "7"]
    for row, words in zip(
        found,
        [
            "d: this is not a date of the format %Y-%m-%d: 2024-02-30",
            "the map of country does not have Narnia",
            "not a number: many",
            "not yes or no: perhaps",
            "2 cells, the header 5",
            "not utf-8 text",
        ],
        strict=True,
    ):
        assert words in row[1]
    assert found[0][2:] == ["a@x.com", "2024-02-30", "Deutschland", "1", "no"]
    assert report.rejects_path == home / "imports" / "bad.csv.m.rejects.csv"


def test_the_map_may_name_the_encoding(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "latin.csv"
    file.write_bytes("m,n\na@x.com,J\xfcrgen\n".encode("latin-1"))
    text = "file: {encoding: latin-1}\ncolumns: {email: m, first_name: n}\n"
    report = import_file("leads", file, write(tmp_path / "m.yml", text), home, NOW)
    assert report.rejected == 0
    assert records(home, "leads") == [{"email": "a@x.com", "first_name": "Jürgen"}]


def test_a_file_without_header_has_numbered_columns(home: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "plain.csv", "a@x.com;Ann\nb@x.com;Bob\n")
    text = "file: {delimiter: ';', header: false}\ncolumns: {email: column1, first_name: column2}\n"
    assert import_file("leads", file, write(tmp_path / "m.yml", text), home, NOW).landed == 2


def test_parquet_is_read_like_a_csv(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "leads.parquet"
    duckdb.sql(
        "select i as id, timestamp '2024-01-01 10:00:00' as day, i % 2 = 0 as paid "
        "from range(3) as t (i)"
    ).write_parquet(str(file))
    text = (
        "where: id > 0\nrow_number: external_id\n"
        "columns: {created_at: day, attributes.paid: {column: paid, type: boolean}}\n"
    )
    report = import_file("leads", file, write(tmp_path / "m.yml", text), home, NOW)
    assert (report.read, report.landed) == (3, 2)
    assert records(home, "leads") == [
        {
            "external_id": str(number),
            "created_at": "2024-01-01T10:00:00.000000Z",
            "attributes": {"paid": number == 3},
        }
        for number in (2, 3)
    ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "a.csv",
            b"mail,dat\na@x.com,1\n",
            "in a.csv the column `day` is unknown: did you mean `dat`?",
        ),
        ("b.csv", b"", "is empty"),
        ("c.csv", "mail,day\na@x.com,1\n".encode("utf-16"), "is not utf-8 text"),
        ("d.csv", b"mail,day,day\n", "two columns called `day`"),
        ("e.xlsx", b"PK", "only .csv, .csv.gz and .parquet"),
        ("f.parquet", b"PAR1", "no Parquet file"),
        ("g.csv.gz", b"mail,day\n", "cannot be read to its end"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_one_clear_error(
    home: Path, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DripError) as caught:
        import_file("leads", file, write(tmp_path / "m.yml", LEADS), home, NOW)
    assert words in str(caught.value)
    assert landed(home) == []


def test_an_unknown_encoding_and_a_missing_file_are_named(home: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "m\na@x.com\n")
    mapping = write(tmp_path / "m.yml", "file: {encoding: utf-88}\ncolumns: {email: m}\n")
    with pytest.raises(DripError, match="`utf-88` is no encoding"):
        import_file("leads", file, mapping, home, NOW)
    with pytest.raises(DripError, match="does not exist"):
        import_file("leads", tmp_path / "none.csv", mapping, home, NOW)


def test_a_second_run_lands_nothing_and_a_longer_file_adds_only_what_is_new(
    home: Path, tmp_path: Path
) -> None:
    mapping = write(tmp_path / "m.yml", "columns: {email: m, kind: k, occurred_at: d}\n")
    leads = write(tmp_path / "leads.yml", "columns: {email: m}\n")
    text = (
        "m,k,d\na@x.com,replied,2024-01-01\nb@x.com,replied,2024-01-01\nc@x.com,open,2024-01-01\n"
    )
    file = write(tmp_path / "a.csv", text)
    import_file("leads", file, leads, home, NOW)
    first = import_file("events", file, mapping, home, NOW)
    assert (first.read, first.landed) == (3, 3)
    again = import_file("events", file, mapping, home, NOW)
    assert (again.read, again.landed) == (3, 0)
    assert take_in(home) == 1
    write(file, text + "d@x.com,replied,2024-01-01\n")
    import_file("leads", file, leads, home, NOW)
    longer = import_file("events", file, mapping, home, NOW)
    assert longer.landed == 4
    take_in(home)
    assert query(home, "select count(*), count(distinct lead_id) from events") == [(3, 3)]
    assert query(home, "select count(*) from leads") == [(4,)]


def test_an_interrupted_import_goes_on_where_it_was(home: Path, tmp_path: Path) -> None:
    mapping = write(tmp_path / "m.yml", "columns: {external_id: id}\n")
    rows = "".join(f"{n}\n" for n in range(25))
    file = write(tmp_path / "a.csv", f"id\n{rows}1,2\n")
    first = import_file("leads", file, mapping, home, NOW, chunk_rows=10)
    # As a kill leaves it between the landing of the third chunk and the note about it.
    (marker,) = (home / "imports").glob("*.json")
    marker.write_text(json.dumps({"rows": 20, "rejected": 0, "is_complete": False}))
    resumed = import_file("leads", file, mapping, home, NOW, chunk_rows=10)
    assert (first.landed, resumed.landed) == (25, 5)
    assert (resumed.read, resumed.rejected) == (26, 1)
    take_in(home)
    assert query(home, "select count(*) from leads") == [(25,)]


# Real history -----------------------------------------------------------------------------------


def test_hillstrom_gives_the_published_counts(
    home: Path, shared_data: Callable[[str], Path]
) -> None:
    file = shared_data("hillstrom_email") / "hillstrom.csv.gz"
    for kind, name in [
        ("leads", "leads"),
        ("enrollments", "enrollments"),
        ("events", "visits"),
        ("events", "conversions"),
    ]:
        report = import_file(kind, file, EXAMPLES / f"hillstrom_{name}.yml", home, NOW)
        assert (report.read, report.rejected) == (64_000, 0)
    assert take_in(home, ("recency", "history")) == 0
    assert query(
        home,
        """
        with outcomes as (
            select
                lead_id, count(*) filter (where kind = 'custom') as visits,
                count(*) filter (where kind = 'converted') as conversions, sum(value) as spend
            from events
            group by lead_id
        )

        select a.arm, count(*), sum(o.visits), sum(o.conversions), cast(sum(o.spend) as varchar)
        from assignments as a
        left join outcomes as o on a.unit_id = o.lead_id
        group by a.arm
        order by a.arm
        """,
    ) == [
        ("mens", 21_307, 3_894, 267, "30311.6900"),
        ("no_email", 21_306, 2_262, 122, "13908.3300"),
        ("womens", 21_387, 3_238, 189, "23038.1100"),
    ]
    assert query(home, "select count(*) from enrollments where is_holdout") == [(21_306,)]
    assert query(home, "select count(*) from leads") == [(64_000,)]


def test_olist_gives_the_published_days_to_conversion(
    home: Path, shared_data: Callable[[str], Path]
) -> None:
    folder = shared_data("olist_leads")
    leads = folder / "olist_marketing_qualified_leads_dataset.csv.gz"
    deals = folder / "olist_marketing_closed_deals_dataset.csv.gz"
    for kind, name, file in [
        ("leads", "leads", leads),
        ("enrollments", "enrollments", leads),
        ("events", "conversions", deals),
    ]:
        assert import_file(kind, file, EXAMPLES / f"olist_{name}.yml", home, NOW).rejected == 0
    assert take_in(home) == 0
    assert query(home, "select count(*), count(distinct lead_id) from enrollments") == [
        (8000, 8000)
    ]
    assert query(
        home,
        """
        select
            count(*), count(*) filter (where days < 0),
            [
                count(*) filter (where days <= 7), count(*) filter (where days <= 14),
                count(*) filter (where days <= 30), count(*) filter (where days <= 60),
                count(*) filter (where days <= 90), count(*) filter (where days <= 180)
            ]
        from (
            select datediff('day', n.enrolled_at, e.occurred_at) as days
            from events as e
            inner join enrollments as n using (lead_id)
            where e.kind = 'converted' and e.name = 'won'
        )
        """,
    ) == [(842, 1, [284, 428, 555, 647, 692, 775])]
