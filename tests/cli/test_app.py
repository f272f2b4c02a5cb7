"""The command as a whole: exit codes, help, JSON everywhere."""

import pytest
import typer

from pipeline.cli import app

# Servers run until they are told to stop: they print no result.
SERVERS = {"inbound", "up"}


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
    ("arguments", "code", "words"),
    [
        ("why nobody", 1, "No lead is called 'nobody'"),
        ("resume enrollment 99", 1, "Enrollment 99 is not paused"),
        ("pause lead 1", 1, "'lead' is no scope. Write one of: enrollment, sequence"),
        ("pause sequence nothing", 1, "Known: welcome"),
        ("tick --now tomorrow", 1, "Write it like 2026-01-05T15:00:00+00:00"),
        ("preview welcome nothing", 1, "Steps: welcome, reminder"),
        ("init --email nobody", 1, "should be one address"),
        ("import leads none.csv --map none.yml", 1, "none.yml does not exist"),
        ("preview", 2, "Missing argument"),
        ("resume enrollment first", 1, "'first' is no enrollment"),
        ("resume", 2, "Usage: drip resume"),
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
    for arguments in (
        "check",
        "status",
        "tick",
        "why ada",
        "ingest",
        "resume enrollment 1",
        "inbound",
    ):
        told = drip(*arguments.split())
        assert told.code == 1, arguments
        assert "run `drip init`" in (told.out + told.err).lower().replace("drip_", ""), arguments
        assert not (tmp_path / "home").exists(), arguments


def test_a_folder_that_cannot_be_made_is_no_defect(drip, tmp_path):
    (tmp_path / "file").touch()
    told = drip("--home", tmp_path / "file" / "home", "init")
    assert told.code == 1
    assert "file/home: Not a directory. See that the path exists" in told.err
