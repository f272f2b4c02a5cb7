"""The world of the benchmarks: a workspace of twenty sequences and a ledger in the middle of its life.

Belongs here: making it, small or large, from a seed. Does not: measuring (`rows/`), floors.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from pipeline.engine.enroll import enroll
from pipeline.engine.programme import Programme, load_programme
from pipeline.engine.tick import load_files
from pipeline.ledger.store import create_ledger, open_ledger, transaction
from pipeline.sequences.compiled import CompiledSequence
from pipeline.sequences.model import Workspace
from pipeline.settings import Settings, load_keys

# A Tuesday. It is 10:00 in New York, 20:30 in India, and no zone below changes its clock that month.
NOW = datetime(2026, 1, 6, 15, 0, tzinfo=UTC)
# Nobody is due yet, but who is paused has a due time before this.
QUIET = NOW - timedelta(days=2)
SEQUENCES = 20
DUE_SHARE = 0.1

ZONES = [
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "America/Halifax",
    "America/St_Johns",
    "America/Mexico_City",
    "America/Bogota",
    "America/Lima",
    "America/Caracas",
    "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires",
    "Pacific/Honolulu",
    "Atlantic/Azores",
    "Europe/London",
    "Europe/Lisbon",
    "Europe/Paris",
    "Europe/Berlin",
    "Europe/Madrid",
    "Europe/Rome",
    "Europe/Warsaw",
    "Europe/Athens",
    "Europe/Helsinki",
    "Europe/Istanbul",
    "Africa/Cairo",
    "Africa/Lagos",
    "Africa/Nairobi",
    "Africa/Johannesburg",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Bangkok",
    "Asia/Singapore",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Asia/Seoul",
    "Australia/Sydney",
    "Pacific/Auckland",
]

WORKSPACE = """
name: Benchmark
timezone: UTC
address: 1 Road, Town
senders:
  sales: {channel: email, address: "Ann <ann@example.com>"}
  text: {channel: sms, address: "Ann <ann@example.com>", to: "{{ phone }}@sms.example.com"}
goals: {sale: tracker}
"""

# Windows, caps, holdouts and experiments by the number of the sequence; the floor knows the same.
HOURS = ("08:00-20:00", "07:00-22:00", "09:00-17:00")
HEAD = """
status: active
enroll: {{when: "lead.source = '{name}'", holdout: {holdout}}}
calendar: {{timezone: lead, days: [mon, tue, wed, thu, fri], hours: "{hours}"}}
limits: {limits}
goal: {{event: converted, name: sale, within: 30d}}
steps:
"""
STEPS = """
  - {{id: m1, channel: email, sender: sales, subject: One, body: templates/hello.md{first_test}}}
  - {{id: m2, after: 12h, channel: sms, sender: text, text: "Two {{{{ unsubscribe }}}}"}}
  - {{id: m3, after: 2d, channel: email, sender: sales, subject: Three, body: templates/hello.md,
     when: "sent('m1') and not opened('m1')"{third_test}}}
  - {{id: m4, after: 24h, channel: sms, sender: text, text: "Four {{{{ unsubscribe }}}}"}}
  - {{id: m5, after: 2bd, channel: email, sender: sales, subject: Five, body: templates/hello.md}}
  - {{id: m6, after: 1w, channel: email, sender: sales, subject: Six, body: templates/hello.md,
     when: "sent('m5') and not clicked('m5') and lead.country in ('US', 'CA', 'DE')"}}
"""
TEST = """, experiment: {{id: t{number:02}, control: a, metric: replied, window: 14d,
     decide: {{mode: planned, leads: 6000, alpha: 0.05, auto: true}},
     variants: [{{id: a}}, {{id: b, subject: Other}}]}}"""


@dataclass(frozen=True)
class World:
    """Where a world is, and how many running enrollments it has.

    Attributes:
        home: with the ledger.
        folder: of the sequences.
        count: running enrollments.
    """

    home: Path
    folder: Path
    count: int

    def programme(self, con: duckdb.DuckDBPyConnection) -> Programme:
        """Load the programme as a tick does, inside a transaction."""
        workspace, sequences = self.load_files()
        return load_programme(con, workspace, sequences, NOW)

    def load_files(self) -> tuple[Workspace, tuple[CompiledSequence, ...]]:
        """Read the sequences; from then on they are in memory, as from tick to tick."""
        return load_files(self.folder)

    @property
    def salt(self) -> str:
        """The salt of this workspace's draws."""
        return load_keys(self.home).salt

    @property
    def settings(self) -> Settings:
        """What a tick in this world is given."""
        return Settings(home=self.home, sequences=self.folder)


def make_world(place: Path, count: int, *, due_share: float = DUE_SHARE, seed: int = 1) -> World:
    """Write the sequences and fill a ledger with `count` running enrollments.

    Args:
        place: an existing folder; gets `home` and `sequences`.
        count: running enrollments, each of a lead of its own.
        due_share: which part of them is due at `NOW`.
        seed: another seed draws another world.
    """
    world = World(place / "home", place / "sequences", count)
    _write_sequences(world.folder, count)
    create_ledger(world.home)
    with open_ledger(world.home) as con:
        with transaction(con):
            programme = world.programme(con)
        _fill(con, "world.sql", count, seed, due_share=due_share)
        with transaction(con):
            # Every rule has looked at everybody, as in any ledger after its first tick.
            assert enroll(con, programme, world.salt, NOW) == 0
        con.execute("checkpoint")
    return world


def make_history(place: Path, count: int, *, seed: int = 1) -> World:
    """Fill a ledger with half a year of `count` enrollments, three messages and ten events each.

    Args:
        place: an existing folder; gets `home` and `sequences`.
        count: enrollments, each of a lead of its own.
        seed: another seed draws another history.
    """
    world = World(place / "home", place / "sequences", count)
    _write_sequences(world.folder, count)
    create_ledger(world.home)
    with open_ledger(world.home) as con:
        with transaction(con):
            world.programme(con)
        _fill(con, "history.sql", count, seed)
        con.execute("checkpoint")
    return world


def _write_sequences(folder: Path, count: int) -> None:
    (folder / "templates").mkdir(parents=True)
    (folder / "workspace.yml").write_text(WORKSPACE)
    (folder / "templates" / "hello.md").write_text("Hello {{ first_name | default('you') }}.")
    for number in range(1, SEQUENCES + 1):
        test = TEST.format(number=number)
        text = HEAD.format(
            name=f"s{number:02}",
            holdout="10%" if number % 10 == 2 else "0%",
            hours=HOURS[number % 3],
            limits=f"{{per_day: {sequence_cap(count)}, per_lead: 6}}"
            if number % 4 == 0
            else "{per_lead: 6}",
        ) + STEPS.format(
            first_test=test if number % 5 == 2 else "", third_test=test if number % 5 == 3 else ""
        )
        (folder / f"s{number:02}.yml").write_text(text)


def sequence_cap(count: int) -> int:
    """Return the cap of every fourth sequence: about half of what is due there has a place."""
    return max(5, count // 400)


def _fill(
    con: duckdb.DuckDBPyConnection, script: str, count: int, seed: int, **more: float
) -> None:
    values = {"now": NOW, "count": count, "seed": seed, "zones": ZONES, **more}
    text = Path(__file__).with_name(script).read_text()
    for statement in duckdb.extract_statements(text):
        query = statement.query
        if "/*others*/" in query:
            table = query[query.index("insert into ") :].split()[2]
            query = query.replace("/*others*/", _other_columns(con, table, query))
        con.execute(query, {name: values[name] for name in statement.named_parameters})


def _other_columns(con: duckdb.DuckDBPyConnection, table: str, query: str) -> str:
    """Give every column that may not be null, and that the maker does not know, an empty value."""
    given = {
        column
        for column, *_ in con.execute("describe " + query.partition(" by name\n")[2]).fetchall()
    }
    empty = {"BOOLEAN": "false", "VARCHAR": "''", "JSON": "'{}'"}
    rows = con.execute(
        "select column_name, data_type from duckdb_columns() "
        "where table_name = ? and not is_nullable and database_name = current_database()",
        [table],
    ).fetchall()
    return ", ".join(
        f"{empty.get(kind, '0')}::{kind} as {name}" for name, kind in rows if name not in given
    )
