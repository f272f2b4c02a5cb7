"""What is printed: one document or whole words."""

from pathlib import Path

import pytest


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


def test_a_path_with_brackets_is_printed_whole(drip, tmp_path):
    home = tmp_path / "a [b] home"
    assert drip("--home", home, "init").code == 0
    path = drip("--home", home, "tick").out.split("mail: ")[1].splitlines()[0]
    assert Path(path).is_file()
