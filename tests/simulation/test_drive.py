from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.sequences.check import check_folder
from pipeline.settings import DripError, load_keys
from pipeline.simulation import drive
from pipeline.simulation.drive import Drive, Progress, choose_grid, create_home, run_demo
from pipeline.simulation.market import Market
from pipeline.simulation.truth import Truth
from pipeline.warehouse.read import query

MARKET = Path(drive.__file__).with_name("market")


def live(home: Path, seed: int, days: int = 2) -> Drive:
    """Drive a small market without publishing anything."""
    settings = create_home(home, seed)
    market = Market(Truth(), leads=60, days=days, start=drive.START, seed=seed)
    with Drive(settings, market, days=days, seed=seed, grid=timedelta(hours=12)) as loop:
        loop.run_until(drive.START + timedelta(days=days))
    return loop


def test_the_markets_own_sequences_have_no_problems() -> None:
    assert check_folder(MARKET) == []


def test_a_small_market_runs_through_the_whole_ring(tmp_path: Path) -> None:
    told: list[Progress] = []
    home = tmp_path / "home"
    truth = Truth(refused_address_share=0.05)
    report = run_demo(
        home,
        leads=120,
        days=7,
        seed=3,
        refreshes=1,
        most_ticks=14,
        truth=truth,
        progress=told.append,
    )
    assert report.leads == 120
    assert report.ticks <= 14
    assert report.refreshes == 1
    assert report.messages > 100
    assert report.outcomes["sent"] == report.messages
    assert report.outcomes["refused"] > 0
    assert report.is_accounted
    assert report.double_sends == 0
    assert report.unwanted == 0
    found = {finding.what: finding for finding in report.findings}
    for account in ("messages handed over", "events", "messages sent twice"):
        assert found[account].is_right, found[account]
    assert [told[-1].day, told[-1].stage] == [7.0, "refresh: record"]
    assert query(home, "select count(*) as n from marts.leads")["n"].item() == 120
    assert (home / "sequences/workspace.yml").read_text() == (MARKET / "workspace.yml").read_text()


def test_the_same_seed_lives_the_same_days(tmp_path: Path) -> None:
    one, same = live(tmp_path / "one", 5), live(tmp_path / "same", 5)
    assert one.counts == same.counts
    assert one.message_ids.total() == same.message_ids.total() > 0


def test_the_home_of_an_earlier_demo_is_made_anew(tmp_path: Path) -> None:
    settings = create_home(tmp_path / "home", 1)
    (settings.home / "landing" / "old.jsonl").touch()
    create_home(tmp_path / "home", 2)
    assert list((settings.home / "landing").iterdir()) == []
    assert load_keys(settings.home) == drive.seeded_keys(2)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(DripError, match="is not empty"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_keys_come_from_the_seed(tmp_path: Path) -> None:
    create_home(tmp_path / "a", 1)
    create_home(tmp_path / "b", 1)
    create_home(tmp_path / "c", 2)
    one, same, other = (load_keys(tmp_path / name) for name in "abc")
    assert one == same
    assert one != other


@pytest.mark.parametrize("days", [1, 8, 45, 60, 1000])
def test_the_grid_keeps_the_number_of_ticks_within_the_limit(days: int) -> None:
    assert timedelta(days=days) / choose_grid(days, 300) <= 300
