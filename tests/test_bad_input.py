"""What a person, a provider or a machine gets wrong: one clear error, nothing lost, and on it goes.

Every test runs the real command, compares every fact before and after, then mends the input and
runs the same command again.
"""

import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from pipeline.channels.signing import sign_webhook
from pipeline.ledger.locks import hold_lock
from pipeline.ledger.store import open_ledger
from pipeline.settings import Keys, load_keys

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["pipeline.ledger.store"])

MAP = "name: crm\ncolumns: {email: mail, created_at: {column: day, format: '%d.%m.%Y'}}\n"
SEQUENCE = """
status: active
owner: a@example.com
enroll: {when: "lead.source = 'crm'"}
calendar: {days: [mon, tue, wed, thu, fri, sat, sun], hours: "00:00-24:00"}
steps:
  - {id: a, channel: email, sender: hello, subject: Hello, body: templates/hello.md}
"""


@pytest.fixture
def started(drip, tmp_path) -> Path:
    """A workspace after its first tick, with a sequence for imported leads."""
    assert drip("init", "--email", "ada@example.com").code == 0
    (tmp_path / "sequences" / "crm.yml").write_text(SEQUENCE)
    (tmp_path / "sequences" / "templates" / "hello.md").write_text("Hello {{ email }}.")
    assert drip("tick").code == 0
    return tmp_path


def facts(folder: Path) -> dict[str, Any]:
    """Everything that must not be lost: each row of the ledger, landing, mail, the warehouse."""
    home = folder / "home"
    with open_ledger(home, read_only=True) as con:
        tables = [
            row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall()
        ]
        found: dict[str, Any] = {
            table: sorted(map(repr, con.execute(f'from "{table}"').fetchall())) for table in tables
        }
    kept = [home / "keys.json", home / "warehouse.duckdb"]
    kept += [*(home / "landing").iterdir(), *(home / "maildir").rglob("*")]
    return found | {str(path): path.read_bytes() for path in sorted(kept) if path.is_file()}


def leads(folder: Path) -> list[str]:
    with open_ledger(folder / "home", read_only=True) as con:
        rows = con.execute("select email from identities order by email").fetchall()
    return [row[0] for row in rows]


def refused(told: Any, *words: str) -> None:
    """The command failed with one message that says all these words, and nothing else."""
    assert told.code == 1, told
    assert told.err.count("✗") == 1
    assert "Traceback" not in told.err
    assert "defect" not in told.err
    for word in words:
        assert word in told.err, told.err


# Sequences --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"status: active\nsteps: [\n", "bad.yml:3: broken YAML", id="bracket"),
        pytest.param(b"status: active\n\tsteps: []\n", "bad.yml:2: broken YAML", id="tab"),
        pytest.param(b"status: active\nstatus: draft\n", "bad.yml:2: broken YAML", id="twice"),
        pytest.param("description: grüezi\n".encode("latin-1"), "bad.yml", id="encoding"),
        pytest.param(b"", "bad.yml", id="empty"),
        pytest.param(b"- a\n- b\n", "bad.yml", id="list"),
        pytest.param(b"a: &x [*x]\n", "bad.yml", id="itself"),
    ],
)
def test_a_broken_yaml_file(drip, started, content, words):
    before = facts(started)
    path = started / "sequences" / "bad.yml"
    path.write_bytes(content)
    checked = drip("check")
    assert checked.code == 1
    assert words in checked.out
    assert "Traceback" not in checked.out + checked.err
    for command in ("tick", "ingest", "preview crm a"):
        refused(drip(*command.split()), words, "nothing was started")
    assert facts(started) == before
    path.write_text(SEQUENCE)
    assert drip("check").code == 0
    assert drip("tick").code == 0


def test_an_unknown_variable_in_a_template(drip, started):
    before = facts(started)
    template = started / "sequences" / "templates" / "hello.md"
    template.write_text("Hello {{ frist_name }}.")
    checked = drip("check")
    assert checked.code == 1
    assert "templates/hello.md:1: unknown variable" in checked.out
    assert "frist_name" in checked.out
    assert "first_name" in checked.out.replace("frist_name", "")
    for command in ("tick", "preview crm a"):
        refused(drip(*command.split()), "frist_name", "first_name")
    assert facts(started) == before
    template.write_text("Hello {{ first_name | default('you') }}.")
    assert drip("check").code == drip("tick").code == drip("preview", "crm", "a").code == 0


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("crm.yml", "calendar: {", "calendar: {timezone: Europe/Berlyn, "),
        ("crm.yml", "calendar: {", "calendar: {fallback_timezone: Europe/Berlyn, "),
        ("workspace.yml", "timezone: America/New_York ", "timezone: Europe/Berlyn "),
    ],
)
def test_an_unknown_zone_in_a_file(drip, started, file, old, new):
    before = facts(started)
    path = started / "sequences" / file
    good = path.read_text()
    assert old in good
    path.write_text(good.replace(old, new, 1))
    checked = drip("check")
    assert checked.code == 1
    assert "unknown zone 'Europe/Berlyn'" in checked.out
    assert "Europe/Berlin" in checked.out
    refused(drip("tick"), file, "unknown zone 'Europe/Berlyn'", "Europe/Berlin")
    assert facts(started) == before
    path.write_text(good)
    assert drip("check").code == drip("tick").code == 0


# Files to import --------------------------------------------------------------------------------


def write_import(folder: Path, content: bytes, mapping: str = MAP) -> list[Any]:
    (folder / "crm.csv").write_bytes(content)
    (folder / "crm.yml").write_text(mapping)
    return ["import", "leads", folder / "crm.csv", "--map", folder / "crm.yml"]


def test_a_csv_of_another_encoding(drip, started):
    content = "mail,day\njörg@example.com,01.02.2025\neva@example.com,02.02.2025\n".encode(
        "latin-1"
    )
    command = write_import(started, content)
    told = drip(*command)
    refused(
        told, "1 of 2 rows were rejected", "crm.csv.crm.rejects.csv", "mend the file or the map"
    )
    rejects = (started / "home" / "imports" / "crm.csv.crm.rejects.csv").read_text()
    assert "The row is not utf-8 text: `file: {encoding: …}` of the map may help." in rejects
    (started / "crm.yml").write_text("file: {encoding: latin-1}\n" + MAP)
    assert drip(*command).code == 0
    assert drip("ingest").code == 0
    assert leads(started) == ["ada@example.com", "eva@example.com", "jörg@example.com"]
    told = drip("ingest", "--json").json()
    assert told["counts"] == {}


def test_a_csv_whose_header_is_of_another_encoding(drip, started):
    before = facts(started)
    text = "mail,day\neva@example.com,02.02.2025\n"
    command = write_import(started, text.encode("utf-16"))
    refused(drip(*command), "is not utf-8 text", "file: {encoding: latin-1}", "utf-16")
    assert facts(started) == before
    (started / "crm.yml").write_text("file: {encoding: utf-16}\n" + MAP)
    assert drip(*command).code == drip("tick").code == 0
    assert leads(started) == ["ada@example.com", "eva@example.com"]


def test_a_csv_without_a_column_that_the_map_names(drip, started):
    before = facts(started)
    command = write_import(started, b"mail,dya\neva@example.com,02.02.2025\n")
    refused(drip(*command), "crm.yml:2: in crm.csv the column `day` is unknown", "`dya`")
    assert facts(started) == before
    (started / "crm.csv").write_bytes(b"mail,day\neva@example.com,02.02.2025\n")
    assert drip(*command).code == drip("tick").code == 0
    assert leads(started) == ["ada@example.com", "eva@example.com"]


def test_a_csv_with_impossible_dates(drip, started):
    rows = ["eva@example.com,28.02.2025", "max@example.com,30.02.2025", "kim@example.com,1.1.20255"]
    command = write_import(started, "\n".join(["mail,day", *rows]).encode())
    told = drip(*command)
    refused(told, "2 of 3 rows were rejected")
    assert "1 landed" in told.out
    rejects = (started / "home" / "imports" / "crm.csv.crm.rejects.csv").read_text()
    assert "day: this is not a date of the format %d.%m.%Y: 30.02.2025" in rejects
    again = drip(*command, "--json")
    assert (again.code, again.json()["landed"]) == (1, 0)
    rows[1:] = ["max@example.com,28.02.2025", "kim@example.com,01.01.2025"]
    (started / "crm.csv").write_text("\n".join(["mail,day", *rows]))
    assert drip(*command).code == drip("tick").code == 0
    assert leads(started) == [f"{name}@example.com" for name in ("ada", "eva", "kim", "max")]


@pytest.mark.parametrize("path", ["crm.csv", "crm.yml"])
def test_an_import_of_a_file_that_is_not_there(drip, started, path):
    before = facts(started)
    command = write_import(started, b"mail,day\neva@example.com,02.02.2025\n")
    (started / path).rename(started / "elsewhere")
    refused(drip(*command), f"{path} does not exist")
    assert facts(started) == before
    (started / "elsewhere").rename(started / path)
    assert drip(*command).code == 0


# The inbound server -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """A real `drip inbound` and its workspace."""

    folder: Path
    keys: Keys
    base: str
    pid: int

    def landed(self) -> list[bytes]:
        """Read every line of landing."""
        paths = sorted((self.folder / "home" / "landing").glob("*.jsonl"))
        return [line for path in paths for line in path.read_bytes().splitlines()]

    def post_lead(self, **lead: str) -> httpx.Response:
        """Send a lead through the programming interface."""
        headers = {"authorization": f"Bearer {self.keys.api_key}"}
        return httpx.post(f"{self.base}/api/leads", json=lead, headers=headers)

    def post_signed(self, key: str, body: bytes, **changed: str) -> httpx.Response:
        """Send a webhook that is signed, with some headers changed."""
        headers = sign_webhook(self.keys.webhook_secret, key, datetime.now(UTC), body)
        changed = {name.replace("_", "-"): value for name, value in changed.items()}
        return httpx.post(f"{self.base}/webhooks/webhook", content=body, headers=headers | changed)


def child_environment(folder: Path, **more: str) -> dict[str, str]:
    places = {"DRIP_HOME": folder / "home", "DRIP_SEQUENCES": folder / "sequences"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DRIP_")}
    return clean | {name: str(path) for name, path in places.items()} | more


def run_child(folder: Path, *arguments: object, blocks: int | None = None) -> Any:
    """Run the command as a process of its own; no file may grow beyond so many blocks."""
    limit = ["sh", "-c", f'ulimit -f {blocks} && exec "$@"', "sh"] if blocks else []
    return subprocess.run(
        [*limit, sys.executable, "-m", "pipeline.cli", *map(str, arguments)],
        env=child_environment(folder),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests below; each leaves it working."""
    folder = tmp_path_factory.mktemp("inbound")
    assert run_child(folder, "init", "--email", "ada@example.com").returncode == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "inbound"],
        env=child_environment(folder, DRIP_PORT=str(port)),
        stderr=subprocess.PIPE,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(child, base)
        yield Server(folder, load_keys(folder / "home"), base, child.pid)
    finally:
        child.terminate()
        _, errors = child.communicate(timeout=30)
    assert b"Traceback" not in errors, errors.decode()


def _wait_until_it_answers(child: subprocess.Popen[bytes], base: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{base}/health")
            return
        except httpx.TransportError:
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_an_unknown_zone_in_a_lead_of_the_api(server):
    before = server.landed()
    answer = server.post_lead(email="eva@example.com", timezone="Europe/Berlyn")
    assert answer.status_code == 422
    assert answer.json()["error"] == "Nothing was taken in: the body is not right."
    (problem,) = answer.json()["problems"]
    assert problem["field"] == "timezone"
    assert problem["message"] == "should be an IANA zone such as Europe/Berlin"
    assert server.landed() == before
    assert server.post_lead(email="eva@example.com", timezone="Europe/Berlin").status_code == 202
    assert len(server.landed()) == len(before) + 1


def test_a_webhook_with_a_bad_signature(server):
    before = server.landed()
    body = b'{"type": "lead", "data": {"email": "kim@example.com"}}'
    for changed in (
        {"webhook_signature": "v1,AAAA"},
        {"webhook_signature": ""},
        {"webhook_timestamp": "1000000000"},
        {"webhook_id": "another"},
    ):
        answer = server.post_signed("msg_1", body, **changed)
        assert answer.status_code == 401
        assert answer.json()["error"].startswith("The signature is not valid.")
    assert server.landed() == before
    assert server.post_signed("msg_1", body).status_code == 202
    assert len(server.landed()) == len(before) + 1


def test_a_body_of_ten_megabytes(server):
    before = server.landed()
    answer = server.post_signed("msg_2", b"[" + b" " * (10 << 20) + b"]")
    assert answer.status_code == 413
    assert answer.json() == {"error": "The body is larger than 1,048,576 bytes. Send it in parts."}
    assert server.landed() == before
    assert server.post_signed("msg_2", b'{"type": "ping"}').status_code == 202


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux changes limits of others")
def test_a_full_disk_while_landing(server):
    before = server.landed()
    hard = resource.RLIM_INFINITY
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
        answers = [
            server.post_lead(email="full@example.com"),
            server.post_signed(
                "msg_3", b'{"type": "lead", "data": {"email": "full2@example.com"}}'
            ),
        ]
        assert httpx.get(f"{server.base}/health").json()["status"] == "degraded"
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))
    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "30"
        assert "Nothing was taken in: the disk cannot be written" in answer.json()["error"]
    assert server.landed() == before
    assert server.post_lead(email="full@example.com").status_code == 202
    assert httpx.get(f"{server.base}/health").json()["status"] == "ok"
    assert run_child(server.folder, "ingest").returncode == 0
    found = leads(server.folder)
    assert "full@example.com" in found
    assert "full2@example.com" not in found
    assert len(found) == len(set(found))


# Disks, damage, locks ---------------------------------------------------------------------------


def test_a_full_disk_during_an_import_and_a_tick(started):
    rows = [f"u{number}@example.com,01.02.2025" for number in range(1500)]
    command = write_import(started, "\n".join(["mail,day", *rows]).encode())
    before = facts(started)
    told = run_child(started, *command, blocks=32)
    assert told.returncode == 1
    assert told.stderr.count("✗") == 1
    assert "Traceback" not in told.stderr
    assert "cannot be written (File too large)" in told.stderr
    assert "free space or mend the disk, then send it again" in told.stderr
    assert facts(started) == before

    assert run_child(started, *command).returncode == 0
    landed = facts(started)
    told = run_child(started, "tick", blocks=32)
    assert told.returncode == 1
    assert told.stderr.count("✗") == 1
    assert "ledger.duckdb cannot be written" in told.stderr
    assert "free space on the disk, then run it again" in told.stderr
    assert facts(started) == landed
    told = run_child(started, "ingest")
    assert told.returncode == 0, told.stderr
    assert len(leads(started)) == 1501


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda good: good[:5000], id="cut-off"),
        pytest.param(lambda good: good[: len(good) // 2], id="cut-in-half"),
        pytest.param(lambda good: b"garbage" * (len(good) // 7), id="garbage"),
        pytest.param(lambda good: b"", id="empty"),
        pytest.param(lambda good: good[:12300] + b"\xff" * 500 + good[12800:], id="overwritten"),
    ],
)
def test_a_corrupt_ledger(drip, started, damage):
    with open_ledger(started / "home") as con:
        con.execute("checkpoint")
    before = facts(started)
    path = started / "home" / "ledger.duckdb"
    good = path.read_bytes()
    path.write_bytes(damage(good))
    bad = path.read_bytes()
    for command in ("status", "tick", "ingest", "why ada@example.com", "refresh"):
        refused(drip(*command.split()), "ledger.duckdb is damaged", "restore both from a backup")
        assert path.read_bytes() == bad
    path.write_bytes(good)
    assert facts(started) == before
    assert drip("tick").code == 0


def test_a_file_that_is_no_ledger(drip, started):
    path = started / "home" / "ledger.duckdb"
    path.rename(started / "ledger.duckdb")
    with duckdb.connect(str(path)) as con:
        con.execute("create table other (i integer)")
    refused(drip("tick"), "no ledger", "restore the ledger from a backup")
    path.unlink()
    (started / "ledger.duckdb").rename(path)
    assert drip("tick").code == 0


def hold_ledger(home: Path, is_held: Any, may_end: Any) -> None:
    with open_ledger(home):
        is_held.set()
        may_end.wait(60)


def hold_refresh(home: Path, is_held: Any, may_end: Any) -> None:
    with hold_lock(home / "refresh.lock"):
        is_held.set()
        may_end.wait(60)


@contextmanager
def another_process(how: Any, home: Path) -> Iterator[int]:
    is_held, may_end = forks.Event(), forks.Event()
    child = forks.Process(target=how, args=(home, is_held, may_end), daemon=True)
    child.start()
    assert is_held.wait(30)
    try:
        yield child.pid
    finally:
        may_end.set()
        child.join(30)


def test_a_ledger_that_another_process_holds(drip, started):
    before = facts(started)
    with another_process(hold_ledger, started / "home") as pid:
        told = drip("tick")
        refused(told, "ledger.lock is held by", f"process {pid}; waited 10.0 s", f"ps -p {pid}")
    assert facts(started) == before
    assert drip("tick").code == 0


def test_a_refresh_while_another_one_runs(drip, started):
    before = facts(started)
    with another_process(hold_refresh, started / "home") as pid:
        refused(drip("refresh"), "refresh.lock is held by", f"process {pid}", f"ps -p {pid}")
    assert facts(started) == before


# The warehouse ----------------------------------------------------------------------------------


def test_a_check_of_the_warehouse_that_fails(drip, started):
    published = started / "home" / "warehouse.duckdb"
    with duckdb.connect(str(published)) as con:
        con.execute("create table last_week as select 7 as leads")
    with open_ledger(started / "home") as con:
        lead_id = con.execute("select lead_id from leads").fetchall()[0][0]
        con.execute("insert into leads select * from leads")
    before = facts(started)
    told = drip("refresh")
    refused(told, "Nothing was published: the check unique_leads_lead_id failed")
    assert f"Failing rows, 10 at most:\n  unique_field={lead_id}, n_records=2" in told.err
    assert "Mend the facts or the model that the check names, then run `drip refresh`" in told.err
    assert facts(started) == before
    assert drip("query", "from last_week", "--json").json() == [{"leads": 7}]
    assert not list((started / "home").glob("warehouse.next*"))

    with open_ledger(started / "home") as con:
        con.execute("delete from leads where rowid > 0")
    told = drip("refresh", "--json")
    assert told.code == 0, told.err
    assert drip("query", "select lead_id from marts.leads", "--json").json() == [
        {"lead_id": lead_id}
    ]


def test_a_warehouse_that_is_damaged(drip, started):
    (started / "home" / "warehouse.duckdb").write_bytes(b"garbage" * 1000)
    before = facts(started)
    refused(drip("query", "select 1"), "warehouse.duckdb cannot be read", "Run `drip refresh`")
    assert facts(started) == before


# Who wants to see the trace ---------------------------------------------------------------------


def test_the_trace_is_shown_to_who_asks_for_it(started, drip, monkeypatch):
    refused(drip("why", "nobody"), "No lead is called 'nobody'")
    environment = child_environment(started, DRIP_DEBUG="1")
    told = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "why", "nobody"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 1
    assert "Traceback" in told.stderr
    assert "No lead is called 'nobody'" in told.stderr


@pytest.mark.parametrize("content", [b"", b"{", b'{"token_key": "zz"}', b"\xff\xfe"])
def test_keys_that_cannot_be_read(drip, started, content):
    path = started / "home" / "keys.json"
    good = path.read_bytes()
    path.write_bytes(content)
    for command in ("tick", "preview crm a", "inbound", "init"):
        refused(drip(*command.split()), "keys.json cannot be read", "Restore it from a backup")
    assert path.read_bytes() == content
    path.write_bytes(good)
    assert drip("tick").code == 0
