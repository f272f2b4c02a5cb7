"""Archiving a file: what was written stays, but for the status."""

import pytest

from pipeline.sequences.archive import archive_file
from pipeline.settings import DripError

TEXT = """\
# why it is there
description: "An offer"   # in words

status: active  # since May
steps:
  - {id: a, channel: email}   # first
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "one.yml").write_text(TEXT)
    return tmp_path


def test_only_the_status_changes_and_comments_stay(folder):
    path = archive_file(folder, "one", drain=False)
    assert path.read_text() == TEXT.replace("status: active", "status: archived")


def test_a_drain_is_a_line_of_its_own_and_goes_again(folder):
    path = archive_file(folder, "one", drain=True)
    drained = TEXT.replace(
        "status: active  # since May", "status: archived  # since May\ndrain: true"
    )
    assert path.read_text() == drained
    archive_file(folder, "one", drain=False)
    assert path.read_text() == TEXT.replace("status: active", "status: archived")


def test_a_file_without_a_status_gets_one(folder):
    (folder / "one.yml").write_text("steps: []\n")
    archive_file(folder, "one", drain=True)
    assert (folder / "one.yml").read_text() == "status: archived\ndrain: true\nsteps: []\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"status": "active", "steps": []}', "write `status: archived` yourself"),
        ("status: [", "Mend the file first"),
        ("status: archived\n", "archived already"),
    ],
)
def test_what_cannot_be_archived_is_left_as_it_is(folder, text, message):
    (folder / "one.yml").write_text(text)
    with pytest.raises(DripError, match=message):
        archive_file(folder, "one", drain=False)
    assert (folder / "one.yml").read_text() == text


def test_a_file_that_is_not_there_is_named_beside_those_that_are(folder):
    with pytest.raises(DripError, match=r"two\.yml does not exist\. Known: one\."):
        archive_file(folder, "two", drain=False)
