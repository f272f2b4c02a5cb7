"""`drip init`: a workspace that works at once, and one that is there is never written over."""

from datetime import UTC, datetime

import pytest

from pipeline.engine.starter import create_workspace
from pipeline.engine.tick import tick
from pipeline.ledger.store import open_ledger
from pipeline.sequences.check import check_folder
from pipeline.settings import DripError, Settings, load_keys

NOW = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "data", sequences=tmp_path / "sequences")


def create(settings, **changed):
    return create_workspace(
        settings, **{"email": "me@example.com", "first_name": "Max", "now": NOW, **changed}
    )


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leads(settings):
    with open_ledger(settings.home, read_only=True) as con:
        return con.execute("select email, first_name from identities order by email").fetchall()


def test_everything_is_made_and_the_first_tick_sends_the_first_mail(settings):
    made = create(settings)
    assert len(made["created"]) == 3
    assert check_folder(settings.sequences) == []
    report = tick(settings, lambda: NOW)
    assert (report.counts["leads"], report.counts["handed_over"]) == (1, 1)
    assert leads(settings) == [("me@example.com", "Max")]


def test_a_second_time_changes_nothing(settings):
    create(settings)
    keys = load_keys(settings.home)
    mine = settings.sequences / "welcome.yml"
    mine.write_text(mine.read_text().replace("status: active", "status: paused"))
    before = contents(settings.sequences)
    landed = sorted((settings.home / "landing").iterdir())
    made = create(settings, email="other@example.com")
    assert made["created"] == ["nothing: the workspace was there already"]
    assert contents(settings.sequences) == before
    assert sorted((settings.home / "landing").iterdir()) == landed
    assert load_keys(settings.home) == keys


def test_a_sequence_that_was_deleted_does_not_come_back(settings):
    create(settings)
    (settings.sequences / "nurture.yml").unlink()
    create(settings)
    assert not (settings.sequences / "nurture.yml").exists()


def test_files_of_ones_own_are_kept_where_workspace_yml_is_missing(settings):
    settings.sequences.mkdir()
    mine = settings.sequences / "welcome.yml"
    mine.write_text("status: draft\n")
    create(settings)
    assert mine.read_text() == "status: draft\n"
    assert (settings.sequences / "workspace.yml").exists()


def test_a_home_that_was_lost_is_made_anew_beside_the_sequences(settings):
    create(settings)
    (settings.home / "ledger.duckdb").unlink()
    assert len(create(settings)["created"]) == 2


@pytest.mark.parametrize("email", ["nobody", "a@b", "", "a b@example.com", "a@example.com, b@c.de"])
def test_what_is_no_address_is_refused_before_anything_is_made(settings, email):
    with pytest.raises(DripError, match=r"should be one address|needs an email"):
        create(settings, email=email)
    assert not settings.home.exists()
    assert not settings.sequences.exists()


def test_without_a_name_the_lead_has_none(settings):
    create(settings, first_name=None)
    tick(settings, lambda: NOW)
    assert leads(settings) == [("me@example.com", None)]
