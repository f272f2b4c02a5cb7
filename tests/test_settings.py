import json
import stat
from datetime import UTC
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.settings import DripError, Keys, create_keys, load_keys, load_settings, utc_now


def test_without_environment_the_home_is_the_folder_data() -> None:
    settings = load_settings()
    assert settings.home == Path("data")
    assert settings.sequences == Path("sequences")
    assert settings.host == "127.0.0.1"


def test_the_environment_sets_what_no_argument_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIP_HOME", "/somewhere")
    monkeypatch.setenv("DRIP_PORT", "9001")
    settings = load_settings(port=9002, home=None)
    assert settings.home == Path("/somewhere")
    assert settings.port == 9002


def test_a_setting_that_makes_no_sense_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIP_CONCURRENCY", "many")
    with pytest.raises(DripError, match="DRIP_CONCURRENCY") as caught:
        load_settings()
    assert "'many'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings().home = Path("elsewhere")  # type: ignore[misc]


def test_the_clock_is_in_utc_and_does_not_go_back() -> None:
    first, second = utc_now(), utc_now()
    assert first.tzinfo is UTC
    assert first <= second


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    keys = create_keys(home)
    assert create_keys(home) == keys == load_keys(home)
    assert stat.S_IMODE((home / "keys.json").stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["keys.json"]


def test_two_workspaces_never_share_a_key(tmp_path: Path) -> None:
    one, other = create_keys(tmp_path / "one"), create_keys(tmp_path / "other")
    assert one.token_key != other.token_key
    assert one.webhook_secret != other.webhook_secret
    assert one.api_key != other.api_key
    assert one.salt != other.salt


def test_given_keys_are_kept_as_they_are(tmp_path: Path, keys: Keys) -> None:
    assert create_keys(tmp_path / "copy", keys) == keys


def test_missing_keys_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(DripError, match="drip init"):
        load_keys(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut off"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="no key inside"),
        pytest.param(json.dumps({"token_key": "xyz"}), id="not hexadecimal"),
        pytest.param(
            json.dumps({"token_key": 1, "webhook_secret": "", "api_key": "", "salt": ""}),
            id="a number",
        ),
    ],
)
def test_broken_keys_are_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(DripError, match="cannot be read"):
        load_keys(tmp_path)


def test_keys_that_are_a_folder_are_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "keys.json").mkdir()
    with pytest.raises(DripError, match="cannot be read"):
        load_keys(tmp_path)
