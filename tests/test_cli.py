"""The command as a person and a script meet it: exit codes, JSON everywhere, the first screen."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
import typer

from pipeline.cli import app
from pipeline.inbound.landing import append_lines, landing_line

# Servers run until they are told to stop: they print no result.
SERVERS = {"inbound", "up"}

LEADS_MAP = "name: crm\ncolumns: {email: mail, created_at: day}\n"
SENDS_MAP = (
    "columns: {email: mail, handed_over_at: day}\n"
    "constants: {sequence_id: old, step_id: first, channel: email, sender: hello}\n"
)


def commands() -> dict[str, typer.core.TyperCommand]:
    """List every command by the words that call it."""
    found = {}

    def walk(group, words):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                walk(command, [*words, name])
            else:
                found[" ".join([*words, name])] = command

    walk(typer.main.get_command(app), [])
    return found


def options(command) -> set[str]:
    return {word for parameter in command.params for word in parameter.opts}


@pytest.fixture
def started(drip, tmp_path):
    """A workspace after its first tick."""
    assert drip("init", "--email", "ada@example.com", "--first-name", "Ada").code == 0
    assert drip("tick").code == 0
    return tmp_path


def fake_import(folder: Path) -> tuple[Path, Path]:
    (folder / "crm.csv").write_text("mail,day\nb@example.com,2025-12-01\n")
    (folder / "crm.yml").write_text(LEADS_MAP)
    return folder / "crm.csv", folder / "crm.yml"


# JSON -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_that_prints_a_result_takes_json(name):
    assert ("--json" in options(commands()[name])) is (name not in SERVERS)


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_and_every_option_says_what_it_does(name):
    command = commands()[name]
    assert command.help
    silent = [p.name for p in command.params if p.opts[0].startswith("--") and not p.help]
    assert silent == []


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ("init", {"created", "home", "sequences"}),
        ("preview welcome welcome", {"headers", "text", "html", "warnings", "page"}),
        ("preview welcome reminder --lead ada@example.com", {"headers", "text", "html"}),
        ("tick", {"counts", "next_at", "is_dispatcher", "is_stopped", "newest_mail"}),
        ("status", {"leads", "enrollments", "planned", "outcomes", "rejected", "waiting"}),
        ("ingest", {"counts", "rejected"}),
        ("ingest --rejected", {"counts", "rejected"}),
    ],
)
def test_json_is_one_document_and_nothing_else(drip, started, arguments, keys):
    told = drip(*arguments.split(), "--json")
    assert (told.code, told.err) == (0, "")
    assert keys <= told.json().keys()


def test_json_of_check_lists_problems_and_the_exit_code_says_whether_there_are_errors(
    drip, started
):
    told = drip("check", "--json")
    assert (told.code, told.json()) == (0, [])
    (started / "sequences" / "bad.yml").write_text("steps: 5\n")
    told = drip("check", "--json")
    assert told.code == 1
    assert {"file", "line", "field", "message", "severity"} == told.json()[0].keys()
    assert {problem["file"] for problem in told.json()} == {"bad.yml"}


def test_json_of_why_is_the_story_with_moments_in_utc(drip, started):
    story = drip("why", "ada@example.com", "--json").json()
    assert [row["what"] for row in story] == ["created", "enrolled", "claimed", "handed_over"]
    assert all(datetime.fromisoformat(row["moment"]).tzinfo for row in story)


def test_json_of_resume_is_the_new_due_time(drip, started):
    path = started / "sequences" / "welcome.yml"
    path.write_text(path.read_text().replace("replied: stop", "replied: pause"))
    now = datetime.now(UTC)
    line = landing_line(
        line_id="0" * 32,
        received_at=now,
        source="operator",
        events=[{"kind": "replied", "send_id": 1}],
    )
    append_lines(started / "home", "operator", [line], now)
    assert drip("tick", "--json").json()["counts"]["events"] == 1
    assert drip("status", "--json").json()["enrollments"]["welcome"] == {"paused": 1}
    told = drip("resume", "1", "--json")
    assert told.json()["enrollment_id"] == 1
    assert datetime.fromisoformat(told.json()["due_at"]) > now


@pytest.mark.parametrize("kind", ["leads", "enrollments", "sends", "events"])
def test_json_of_an_import_counts_its_rows(drip, started, kind):
    data, mapping = fake_import(started)
    texts = {
        "leads": LEADS_MAP,
        "enrollments": "columns: {email: mail, enrolled_at: day}\nconstants: {sequence_id: old}\n",
        "sends": SENDS_MAP,
        "events": "columns: {email: mail, occurred_at: day}\nconstants: {kind: replied}\n",
    }
    mapping.write_text(texts[kind])
    told = drip("import", kind, data, "--map", mapping, "--json")
    assert told.code == 0
    assert told.json() == {"read": 1, "landed": 1, "rejected": 0, "rejects_path": None}


def test_refresh_query_and_report_give_json(drip, started):
    told = drip("query", "from marts.leads", "--json")
    assert told.code == 1
    assert "Run `drip refresh`" in told.err
    told = drip("refresh", "--json")
    assert told.code == 0, told.err
    assert told.json()["rows"]["marts.leads"] == 1
    assert told.json()["count_checks"] > 40
    (row,) = drip("query", "from marts.leads", "--json").json()
    assert (row["source"], row["status"], row["revenue"]) == ("MANUAL", "contacted", "0.0000")
    assert Path(drip("report", "--json").json()["path"]).read_text().startswith("<!doctype html>")
    assert drip("status", "--json").json()["last_refresh_at"] is not None
    # the same in words: few columns as a table, many as records
    assert "1 rows" in drip("query", "select 1 as one, 'a [b]' as two").out
    assert "a [b]" in drip("query", "select 1 as one, 'a [b]' as two").out
    told = drip("query", "from marts.leads")
    assert "first_contacted_at  " in told.out
    told = drip("query", "selct 1")
    assert (told.code, told.out) == (1, "")
    assert "syntax error" in told.err
    assert "show all tables" in told.err


# The first screen -------------------------------------------------------------------------------


def test_init_check_tick_and_the_mail_is_a_real_mail(drip, tmp_path):
    told = drip("init", "--email", "ada@example.com", "--first-name", "Ada")
    assert told.code == 0
    assert "a first lead, ada@example.com" in told.out
    assert "drip check" in told.out
    told = drip("check")
    assert (told.code, "0 errors, 0 warnings" in told.out) == (0, True)
    told = drip("tick")
    assert "handed_over 1" in told.out
    path = Path(told.out.split("mail: ")[1].splitlines()[0])
    mail = message_from_bytes(path.read_bytes(), policy=default)
    assert mail["To"].addresses[0].addr_spec == "ada@example.com"
    assert mail["Subject"] == "Welcome, Ada"
    assert mail.get_content_type() == "multipart/alternative"
    assert "Ada" in mail.get_body(("plain",)).get_content()
    assert "<p>" in mail.get_body(("html",)).get_content()
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Message-ID"]
    assert mail["Date"].datetime.tzinfo
    assert mail.defects == []


def test_a_second_tick_sends_nothing_more_and_names_when_it_goes_on(drip, started):
    told = drip("tick")
    assert "nothing due" in told.out
    assert "next: " in told.out
    assert "mail: " not in told.out
    assert len(list((started / "home" / "maildir").glob("*/new/*"))) == 1


def test_init_twice_keeps_what_is_there(drip, started):
    mine = started / "sequences" / "welcome.yml"
    mine.write_text(mine.read_text() + "# mine\n")
    keys = (started / "home" / "keys.json").read_bytes()
    told = drip("init", "--email", "other@example.com")
    assert (told.code, "nothing: the workspace was there already" in told.out) == (0, True)
    assert mine.read_text().endswith("# mine\n")
    assert (started / "home" / "keys.json").read_bytes() == keys
    assert drip("tick", "--json").json()["counts"] == {}
    assert drip("status", "--json").json()["leads"] == 1


def test_status_accounts_for_every_planned_step(drip, started):
    status = drip("status", "--json").json()
    assert status["planned"] == sum(status["outcomes"].values()) == 1
    assert status["outcomes"]["sent"] == 1
    assert status["enrollments"] == {"welcome": {"active": 1}}
    assert status["waiting"] == 1
    told = drip("status")
    assert "welcome" in told.out
    assert "leads: 1" in told.out


def test_why_tells_the_story_in_order(drip, started):
    words = ["created", "enrolled", "claimed", "handed_over"]
    told = drip("why", "ada@example.com").out
    assert [told.index(word) for word in words] == sorted(told.index(word) for word in words)


def test_preview_prints_the_message_and_names_a_page(drip, started):
    told = drip("preview", "welcome", "welcome", "--lead", "ada@example.com")
    assert "Subject: Welcome, Ada" in told.out
    assert Path(told.out.split("Page: ")[1].strip()).is_file()


def test_stop_is_said_wherever_it_matters(drip, started):
    (started / "home" / "STOP").touch()
    assert "STOP exists" in drip("tick").out
    assert drip("tick", "--json").json()["is_stopped"] is True
    assert "STOP is in force" in drip("status").out


def test_another_moment_can_be_pretended(drip, started):
    told = drip("tick", "--now", "2030-01-01T12:00", "--json")
    assert told.json()["counts"]["skipped"] == 1
    assert "2030-01-01 12:00" in drip("status").out


def test_a_path_with_brackets_is_printed_whole(drip, tmp_path):
    home = tmp_path / "a [b] home"
    assert drip("--home", home, "init").code == 0
    path = drip("--home", home, "tick").out.split("mail: ")[1].splitlines()[0]
    assert Path(path).is_file()


# Exit codes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("why nobody", 1, "No lead is called 'nobody'"),
        ("resume 99", 1, "Enrollment 99 is not paused"),
        ("tick --now tomorrow", 1, "Write it like 2026-01-05T15:00:00+00:00"),
        ("preview welcome nothing", 1, "Steps: welcome, reminder"),
        ("init --email nobody", 1, "should be one address"),
        ("import leads none.csv --map none.yml", 1, "none.yml does not exist"),
        ("preview welcome", 2, "Missing argument"),
        ("resume first", 2, "Usage: drip resume"),
        ("tick --loops", 2, "--loop"),
        ("send", 2, "No such command 'send'"),
        ("import", 2, ""),
        ("", 2, ""),
    ],
)
def test_exit_codes_tell_mistakes_of_data_from_mistakes_of_typing(
    drip, started, arguments, code, words
):
    told = drip(*arguments.split())
    assert told.code == code
    assert words in told.err
    assert "Traceback" not in told.err


def test_help_is_no_mistake(drip):
    told = drip("--help")
    assert told.code == 0
    assert all(name.split()[0] in told.out for name in commands())


def test_a_setting_that_makes_no_sense_is_named(drip, monkeypatch):
    monkeypatch.setenv("DRIP_PORT", "eighty")
    told = drip("status")
    assert (told.code, "DRIP_PORT cannot be 'eighty'" in told.err) == (1, True)


def test_without_a_workspace_every_command_says_how_to_make_one(drip, tmp_path):
    for arguments in ("check", "status", "tick", "why ada", "ingest", "resume 1", "inbound"):
        told = drip(*arguments.split())
        assert told.code == 1, arguments
        assert "run `drip init`" in (told.out + told.err).lower().replace("drip_", ""), arguments
        assert not (tmp_path / "home").exists(), arguments


def test_a_folder_that_cannot_be_made_is_no_defect(drip, tmp_path):
    (tmp_path / "file").touch()
    told = drip("--home", tmp_path / "file" / "home", "init")
    assert told.code == 1
    assert "file/home: Not a directory. See that the path exists" in told.err


# A process of its own ---------------------------------------------------------------------------


def test_a_loop_goes_on_until_it_is_told_to_stop(drip, started):
    command = [sys.executable, "-m", "pipeline.cli", "--home", str(started / "home")]
    command += ["--sequences", str(started / "sequences"), "tick", "--loop", "--every", "0.05"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    now = datetime.now(UTC)
    lead = {"email": "late@example.com"}
    line = landing_line(line_id="1" * 32, received_at=now, source="operator", leads=[lead])
    append_lines(started / "home", "operator", [line], now)
    mail = started / "home" / "maildir"
    deadline = time.monotonic() + 60
    while len(list(mail.glob("*/new/*"))) < 2:
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=30)
    last = "Stopped. Nothing is lost: the next tick goes on where this one ended."
    assert (child.returncode, err.strip()) == (0, last)
    assert "handed_over 1" in out
    assert drip("tick", "--json").json()["counts"] == {}
