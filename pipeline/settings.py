"""Where things are and what time it is: the only reader of the environment, the clock, the keys.

Belongs here: the home folder, the workspace's secret keys, the one clock, the base error.
Does not: anything a person writes about outreach (`sequences/workspace.yml`, read by `sequences`).
"""

import base64
import json
import os
import secrets
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class DripError(Exception):
    """What a user can cause and mend: one sentence on what is wrong, one on what to do."""


class Settings(BaseSettings):
    """Settings of one workspace, from arguments, else `DRIP_…` variables, else the defaults."""

    model_config = SettingsConfigDict(env_prefix="DRIP_", frozen=True)

    home: Path = Field(default=Path("data"), description="One workspace: all its stores and keys.")
    sequences: Path = Field(
        default=Path("sequences"), description="workspace.yml, sequences, templates."
    )
    host: str = Field(default="127.0.0.1", description="Address that the servers listen on.")
    port: int = Field(default=8800, description="Port of the inbound server.")
    smtp_password: str = Field(
        default="", description="Password of smtp transports that name a user."
    )
    http_secret: str = Field(
        default="", description="Secret (`whsec_…`) that signs the webhooks of http transports."
    )
    concurrency: int = Field(default=20, ge=1, le=200, description="Messages in hand-over at once.")
    memory_limit: str = Field(default="6GB", description="DuckDB's memory limit in a refresh.")
    alert_url: str = Field(
        default="",
        description="Where a JSON message goes when published numbers get old, and when they are "
        "fresh again; incoming webhooks of chats take it. Empty: nobody is told.",
    )
    debug: bool = Field(default=False, description="Show stack traces.")


def load_settings(**overrides: object) -> Settings:
    """Read the settings; keyword arguments that are not None win over the environment.

    Raises:
        DripError: a value makes no sense.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        raise DripError(
            f"The setting DRIP_{name} cannot be {first['input']!r}: {first['msg']}. Correct it."
        ) from None


def child_environment(settings: Settings, **extra: str) -> dict[str, str]:
    """Return the environment for a child process: ours, these settings, `extra` on top.

    Folders become absolute, the commands of this installation come first on the PATH, and nothing
    that a child runs reports home.
    """
    environment = dict(os.environ)
    for name in Settings.model_fields:
        value = getattr(settings, name)
        environment[f"DRIP_{name.upper()}"] = str(
            value.resolve() if isinstance(value, Path) else value
        )
    # Not resolved: the python of a virtual environment is a link, its commands stand beside it.
    path = [str(Path(sys.executable).parent), *filter(None, [environment.get("PATH")])]
    environment |= {
        "PATH": os.pathsep.join(path),
        "DO_NOT_TRACK": "1",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    return environment | extra


def utc_now() -> datetime:
    """Return the current moment in UTC: the one clock of the project."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Keys:
    """The workspace's secrets. They never leave the home folder."""

    token_key: bytes
    webhook_secret: str
    api_key: str
    salt: str


def create_keys(home: Path, seed: Keys | None = None) -> Keys:
    """Write `keys.json` (mode 0600) with fresh random keys, or the given ones, unless it exists."""
    path = home / "keys.json"
    home.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        keys = seed or Keys(
            token_key=secrets.token_bytes(32),
            webhook_secret="whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(),
            api_key=secrets.token_urlsafe(32),
            salt=secrets.token_hex(16),
        )
        text = json.dumps(
            {
                "token_key": keys.token_key.hex(),
                "webhook_secret": keys.webhook_secret,
                "api_key": keys.api_key,
                "salt": keys.salt,
            }
        )
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
    return load_keys(home)


def load_keys(home: Path) -> Keys:
    """Read `keys.json`.

    Raises:
        DripError: it is missing or unreadable.
    """
    path = home / "keys.json"
    try:
        data = json.loads(path.read_text())
        return Keys(
            token_key=bytes.fromhex(data["token_key"]),
            webhook_secret=data["webhook_secret"],
            api_key=data["api_key"],
            salt=data["salt"],
        )
    except FileNotFoundError:
        raise DripError(f"{path} is missing. Run `drip init` to create the workspace.") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DripError(f"{path} cannot be read ({error}). Restore it from a backup.") from None
