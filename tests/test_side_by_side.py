"""Promise 4 and 1 together: ticks, a refresh and an open notebook at once, in real processes."""

import multiprocessing
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

from pipeline.analysis.refresh import refresh
from pipeline.engine.tick import tick
from pipeline.inbound.landing import append_lines, landing_line
from pipeline.ledger.store import open_ledger
from pipeline.sequences.compile import load_workspace
from pipeline.settings import Settings
from pipeline.warehouse.read import open_warehouse, query

NOW = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
LEADS = 300
ROUNDS = 4

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["pipeline.engine.tick", "pipeline.analysis.refresh"])


def run_ticks(settings, moments):
    for moment in moments:
        tick(settings, lambda moment=moment: moment)


def run_refresh(settings, moment):
    refresh(settings.home, settings, moment, workspace=load_workspace(settings.sequences))


def hold_open(settings, ready, done):
    """What a notebook does that was left open in the middle of a query."""
    with open_warehouse(settings.home) as con:
        con.execute("from marts.sends")
        ready.set()
        assert done.wait(120)
        con.fetchall()


def write_sequence(folder: Path) -> None:
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "hello.md").write_text("Hello {{ first_name | default('you') }}")
    (folder / "workspace.yml").write_text(
        "name: Test\ntimezone: UTC\naddress: 1 Road\n"
        'senders: {sales: {channel: email, address: "Ann <ann@example.com>"}}\n'
    )
    steps = "".join(
        f"  - {{id: s{n}, after: {n}h, channel: email, subject: '{n}', body: templates/hello.md}}\n"
        for n in range(ROUNDS)
    )
    (folder / "one.yml").write_text(
        "status: active\nenroll: {when: \"lead.source = 'X'\"}\n"
        'calendar: {days: [mon, tue, wed, thu, fri, sat, sun], hours: "00:00-24:00"}\n'
        f"steps:\n{steps}"
    )


def test_ticks_a_refresh_and_an_open_notebook_disturb_nobody(home, tmp_path):
    folder = tmp_path / "sequences"
    write_sequence(folder)
    settings = Settings(home=home, sequences=folder)
    leads = [{"email": f"u{i}@example.com", "source": "X"} for i in range(LEADS)]
    append_lines(
        home,
        "inbound",
        [landing_line(line_id="a" * 32, received_at=NOW, source="api", leads=leads)],
        NOW,
    )
    tick(settings, lambda: NOW)
    run_refresh(settings, NOW)
    before = query(home, "select count(*) from marts.sends").item()
    inode = (home / "warehouse.duckdb").stat().st_ino

    ready, done = forks.Event(), forks.Event()
    moments = [NOW + timedelta(hours=n) for n in (1, 3, 6, 9)]
    children = [
        forks.Process(target=hold_open, args=(settings, ready, done)),
        forks.Process(target=run_ticks, args=(settings, moments)),
        forks.Process(target=run_ticks, args=(settings, moments)),
        forks.Process(target=run_refresh, args=(settings, NOW + timedelta(hours=9))),
    ]
    children[0].start()
    assert ready.wait(60)
    for child in children[1:]:
        child.start()
    for child in children[1:]:
        child.join(150)
    # the notebook still holds the file it opened, and a new one was published meanwhile
    assert children[0].is_alive()
    assert (home / "warehouse.duckdb").stat().st_ino != inode
    done.set()
    children[0].join(30)
    assert [child.exitcode for child in children] == [0, 0, 0, 0]

    # whatever the two had left to each other goes out now, and everybody has each message once
    tick(settings, lambda: NOW + timedelta(hours=9))
    sent = [
        (message["To"].addresses[0].addr_spec, message["Subject"])
        for path in (home / "maildir").glob("*/new/*")
        for message in [message_from_bytes(path.read_bytes(), policy=default)]
    ]
    assert len(sent) == len(set(sent))
    with open_ledger(home, read_only=True) as con:
        handed_over = con.execute(
            "select count(*) from send_status where status = 'handed_over'"
        ).fetchall()[0][0]
    assert handed_over == len(sent) == LEADS * ROUNDS
    assert query(home, "select count(*) from marts.sends").item() >= before
